"""Addresses at a gateway: the path of a group, and what of a URL may be shown."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit, urlunsplit

_PLAIN = re.compile(r"(?!\.{1,2}$)[^/ ]+")
"""What a path can hold percent-encoded: a slash would end it, and clients resolve ``.`` and ``..``."""


def group_url(url: str, job: str, labels: Mapping[str, str]) -> str:
    """Return the URL of a group.

    Args:
        url: The gateway's.
        job: The group's first label.
        labels: The others.
    """
    return f"{url}/metrics{_segment('job', job)}{''.join(_segment(name, labels[name]) for name in sorted(labels))}"


def _segment(name: str, value: str) -> str:
    """Return a label in a path, in the gateway's base64 form where it has to be."""
    if _PLAIN.fullmatch(value):
        return f"/{name}/{quote(value, safe='')}"
    return f"/{name}@base64/{base64.urlsafe_b64encode(value.encode()).decode() or '='}"


def without_credentials(url: str) -> str:
    """Return ``url`` with user and password left out."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

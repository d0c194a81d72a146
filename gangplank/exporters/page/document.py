"""The page itself: one document with its style and its script, which says nothing of any model."""

from __future__ import annotations

import base64
import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

_ASSETS = Path(__file__).parent / "assets"
_SCRIPTS = ("format", "shapes", "axis", "chart", "pointer", "table", "weights", "model", "connection", "main")
"""In the order in which they are put together."""


@dataclass(frozen=True, slots=True)
class Document:
    """The page.

    Attributes:
        body: HTML, in UTF-8.
        policy: What a browser may do with it: nothing but run its own script and style, and ask this very server.
    """

    body: bytes
    policy: str


@functools.cache
def document() -> Document:
    """Return the page. It is the same for all: what is measured comes as JSON, and is never a part of HTML."""
    style = _read("page.css")
    script = "(() => {\n'use strict';\n" + "\n".join(_read(f"{name}.js") for name in _SCRIPTS) + "})();\n"
    html = _read("page.html").replace("{style}", style).replace("{script}", script)
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )
    return Document(html.encode(), policy)


def _read(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

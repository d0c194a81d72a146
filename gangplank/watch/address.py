"""What is typed at the command line, as an address and the way to be known there."""

from __future__ import annotations

import os
from urllib.parse import SplitResult, urlsplit

from gangplank import checks
from gangplank.environment_variables import OTEL_EXPORTER_PUSHGATEWAY_ENDPOINT
from gangplank.exporters.pushgateway import allowed
from gangplank.exporters.pushgateway.settings import Settings, resolve
from gangplank.exporters.pushgateway.table import SETTINGS
from gangplank.settings import settled

_PATIENCE = 5.0
_PORTS = {"http": 80, "https": 443}


def settings_for(url: str, certificate: str | None = None) -> Settings:
    """Return how ``url`` is asked.

    What the environment says of a Pushgateway's user, token, headers and client certificate is used for that gateway
    alone: another server must not be told.

    Args:
        url: ``host:port`` or a URL, which may hold a user and a password.
        certificate: A file of authorities to trust; by default what the environment says.

    Raises:
        ConfigurationError: one of them, or a variable, has a value that is not allowed.
    """
    names = {"address": "URL", "certificate": "--certificate"}
    address = checks.http_url("URL", url)
    if _origin(address) == _origin(os.environ.get(OTEL_EXPORTER_PUSHGATEWAY_ENDPOINT, "")):
        return resolve({"address": address, "certificate": certificate}, names=names)
    parts = urlsplit(address)
    username, password = allowed.unquoted(parts) if parts.username is not None else (None, None)
    rows = [row for row in SETTINGS if row.name == "certificate"]
    authorities = settled(rows, {"certificate": certificate}, names=names)[0].get("certificate")
    return Settings(
        address=address,
        interval=_PATIENCE,
        timeout=_PATIENCE,
        username=username,
        password=password,
        certificate=authorities,
    )


def _origin(address: str) -> tuple[str, str | None, int | None] | None:
    try:
        parts: SplitResult = urlsplit(checks.http_url(OTEL_EXPORTER_PUSHGATEWAY_ENDPOINT, address))
    except ValueError:
        return None
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)

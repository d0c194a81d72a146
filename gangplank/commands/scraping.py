"""Whether the scrape endpoint answers."""

from __future__ import annotations

import os
import re
import socket
import threading
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import quote, urlsplit

from gangplank import checks
from gangplank.commands.report import Report, Verdict
from gangplank.errors import ConfigurationError

VARIABLES = ("OTEL_EXPORTER_PROMETHEUS_HOST", "OTEL_EXPORTER_PROMETHEUS_PORT")
_HOST, _PORT = VARIABLES
_PATIENCE = 5.0
_LARGEST_PAGE = 32 * 2**20
_TYPE = re.compile(r"^# TYPE (\S+) \S+$", re.MULTILINE)


def check(address: str | None, report: Report) -> None:
    """Report on the endpoint.

    Args:
        address: Where it is, if not where the environment says.
        report: Where to.

    Raises:
        ConfigurationError: a setting has a value that is not allowed.
    """
    report.title("Scrape endpoint")
    url = _url(address, report)
    try:
        page = _page(url)
    except (OSError, HTTPException, UnicodeError) as error:
        report.finding(
            Verdict.WRONG, f"{url}: {error}; it answers only while a program that serves its metrics there is running"
        )
        return
    families = _TYPE.findall(page)
    if not families:
        report.finding(Verdict.WRONG, f"{url} answers, but not with metrics: something else listens there")
        return
    ours = sum(family.startswith("gangplank_") for family in families)
    report.answer(f"{url} answers with {len(families)} metrics, {ours} of them Gangplank's")


def _page(url: str) -> str:
    """Return the page, or raise what kept it away, within the time that there is for all of it."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_PATIENCE)
    is_late = threading.Event()

    def hang_up() -> None:  # each byte of a slow answer has a timeout of its own
        is_late.set()
        with suppress(OSError):
            link.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(_PATIENCE, hang_up)
    timer.daemon = True
    try:
        connection.connect()
        link: socket.socket = connection.sock
        timer.start()
        connection.request("GET", quote(parts.path, safe="/%"), headers={"Accept": "text/plain"})
        reply = connection.getresponse()
        page = reply.read(_LARGEST_PAGE).decode(errors="replace")
    except (OSError, HTTPException) as error:
        if is_late.is_set() or isinstance(error, TimeoutError):
            raise TimeoutError(f"no answer within {_PATIENCE:g} s") from None
        raise
    finally:
        timer.cancel()
        connection.close()
    if is_late.is_set():
        raise TimeoutError(f"no end of an answer within {_PATIENCE:g} s")
    if reply.status != HTTPStatus.OK:
        raise OSError(f"HTTP {reply.status} {reply.reason}")
    return page


def _url(address: str | None, report: Report) -> str:
    if address is not None:
        url = checks.http_url("--scrape", address)
        if "@" in url:
            raise ConfigurationError(
                "--scrape must be without a user and a password (not shown): give it as it is read"
            )
        report.setting("address", url, "--scrape")
    else:
        host = os.environ.get(_HOST) or "localhost"
        host = f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host
        port = os.environ.get(_PORT) or "9464"
        if not port.isdecimal():
            raise ConfigurationError(f"{_PORT} must be a port's number, got {port!r}")
        url = checks.http_url(_HOST, f"http://{host}:{checks.port(_PORT, int(port))}")
        sources = [name for name in VARIABLES if os.environ.get(name)]
        report.setting("address", url, " and ".join(sources) or "default")
    return url if url.count("/") > 2 else f"{url}/metrics"  # noqa: PLR2004 - a path follows the host

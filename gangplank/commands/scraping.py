"""Whether the scrape endpoint answers."""

from __future__ import annotations

import os
import re
from http.client import HTTPException
from urllib.request import Request, urlopen

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
        with urlopen(Request(url, headers={"Accept": "text/plain"}), timeout=_PATIENCE) as reply:  # noqa: S310 - http(s), checked
            page = reply.read(_LARGEST_PAGE).decode(errors="replace")
    except (OSError, HTTPException) as error:
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
        port = os.environ.get(_PORT) or "9464"
        if not port.isdecimal():
            raise ConfigurationError(f"{_PORT} must be a port's number, got {port!r}")
        url = checks.http_url(_HOST, f"http://{host}:{checks.port(_PORT, int(port))}")
        sources = [name for name in VARIABLES if os.environ.get(name)]
        report.setting("address", url, " and ".join(sources) or "default")
    return url if url.count("/") > 2 else f"{url}/metrics"  # noqa: PLR2004 - a path follows the host

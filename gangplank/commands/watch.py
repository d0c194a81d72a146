"""``gangplank watch``: training, inference and drift, live, on a terminal or as lines."""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import Any

from gangplank import checks
from gangplank.errors import ConfigurationError

_DESCRIPTION = """
Shows what models do at an address: a scrape endpoint, a Pushgateway or a Prometheus server, whichever it is. On a
terminal with charts and keys (? names them); otherwise, or with --plain, as a line for each update that changed
something. What goes away is waited for, and the last that was read is marked as old.
"""
_CREDENTIALS = """
A user and a password can be in the URL; they are never shown. What OTEL_EXPORTER_PUSHGATEWAY_USERNAME, _PASSWORD,
_BEARER_TOKEN, _HEADERS and _CLIENT_CERTIFICATE say is used for the Pushgateway that _ENDPOINT names, and for no other
server. Exit status: 0, or with --once 1 if there was nothing to be read; 2 if an argument or a setting is not allowed,
or an extra is missing; 130 if Ctrl-C ended the lines.
"""
_INTERVAL, _SINCE = 2.0, "1h"
_CONFIGURATION, _INTERRUPTED = 2, 130
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_OF_EXTRA = ("prometheus_client", "requests", "textual", "plotext", "rich")


def add_to(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add the command to a parser's commands."""
    parser = commands.add_parser(
        "watch", help="show training, inference and drift, live", description=_DESCRIPTION, epilog=_CREDENTIALS
    )
    parser.add_argument("url", metavar="URL", help="what to watch, as host:port or as a URL")
    parser.add_argument(
        "--interval", type=float, default=_INTERVAL, metavar="SECONDS", help="between readings (%(default)g)"
    )
    parser.add_argument(
        "--since",
        metavar="TIME",
        default=_SINCE,
        help="how much of its past to ask a Prometheus server for, as 30m or 2d (%(default)s)",
    )
    parser.add_argument("--plain", action="store_true", help="lines of name=value, also on a terminal")
    parser.add_argument("--once", action="store_true", help="print the lines of one reading, and end")
    parser.add_argument("--certificate", metavar="FILE", help="the authorities to trust, in PEM, for https://")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Watch, and return the exit status."""
    try:
        return _watch(given)
    except ConfigurationError as error:
        print(error)
        return _CONFIGURATION
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _OF_EXTRA:
            raise
        print(f"gangplank watch needs {package}, which is not installed: pip install 'gangplank[watch]'")
        return _CONFIGURATION
    except KeyboardInterrupt:
        return _INTERRUPTED


def _watch(given: argparse.Namespace) -> int:
    interval = checks.seconds("--interval", given.interval)
    since = _duration("--since", given.since)
    from gangplank.watch.address import settings_for  # noqa: PLC0415 - needs the extra
    from gangplank.watch.source import Source  # noqa: PLC0415

    source = Source(settings_for(given.url, given.certificate), since=since, interval=interval)
    try:
        if given.plain or given.once or not _is_terminal():
            from gangplank.watch import plainly  # noqa: PLC0415 - needs no terminal's packages

            return plainly.watch(source, source.url, interval, once=given.once)
        from gangplank.watch.terminal import Watch  # noqa: PLC0415

        app = Watch(source, source.url, interval)
        app.run()
        return app.return_code or 0
    finally:
        source.close()


def _is_terminal() -> bool:
    """Whether it can be drawn on: Textual reads keys from standard input, and draws on standard error."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    is_able = os.environ.get("TERM", "") not in ("", "dumb", "unknown") or sys.platform == "win32"
    return is_able and all(stream is not None and stream.isatty() for stream in streams)


def _duration(argument: str, text: str) -> float:
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(f"{argument} must be a time such as 90s, 30m, 6h or 2d, got {text!r}")
    return checks.seconds(argument, float(found[1]) * _SECONDS[found[2]])

"""``gangplank check``: what is configured, from where, whether it answers, and what is wrong."""

from __future__ import annotations

import argparse
import os
from typing import Any

import gangplank
from gangplank import environment_variables
from gangplank.commands import opentelemetry, scraping
from gangplank.commands.report import Report, Verdict
from gangplank.errors import ConfigurationError, MissingDependencyError

_DESCRIPTION = """
Says what the environment configures, and by which variable; whether the Pushgateway and the scrape endpoint answer; and
what is wrong. Nothing is pushed.
"""
_STATUS = """
Exit status: 0 if nothing is wrong, 1 if something is, 2 if a setting has a value that is not allowed. Where the
environment configures neither a Pushgateway nor a scrape endpoint, and none is given, both are looked for where they
are by default, and one of them is enough.
"""
_CONFIGURATION = 2
_VARIABLES = tuple(name for name in vars(environment_variables) if name.startswith("OTEL_EXPORTER_PUSHGATEWAY_"))


def add_to(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add the command to a parser's commands."""
    parser = commands.add_parser(
        "check", help="say what is configured, and whether it works", description=_DESCRIPTION, epilog=_STATUS
    )
    parser.add_argument("--gateway", metavar="ADDRESS", help="the Pushgateway, in place of what the environment says")
    parser.add_argument("--job", help="the job label, in place of what the environment says")
    parser.add_argument("--scrape", metavar="ADDRESS", help="the scrape endpoint, as host:port or as a URL")
    parser.add_argument("--dry-run", action="store_true", help="show what a small example of a run would push")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Check, and return the exit status."""
    report = Report()
    exporters = opentelemetry.check(report)
    pushes = given.gateway is not None or given.job is not None or given.dry_run
    pushes = pushes or "pushgateway" in exporters or any(map(_is_set, _VARIABLES))
    scrapes = given.scrape is not None or "prometheus" in exporters or any(map(_is_set, scraping.VARIABLES))
    looks_for_either = not (pushes or scrapes)
    report.tentative = looks_for_either
    try:
        if pushes or looks_for_either:
            _check_pushing(given, report, of_reader="pushgateway" in exporters)
        if scrapes or looks_for_either:
            scraping.check(given.scrape, report)
    except (ConfigurationError, MissingDependencyError) as error:
        report.tentative = False
        report.finding(Verdict.WRONG, str(error))
        return _CONFIGURATION
    report.tentative = False
    if looks_for_either and not report.answered:
        report.finding(Verdict.WRONG, "nothing is configured, and nothing answers where it would be by default")
    return 1 if report.wrong else 0


def _check_pushing(given: argparse.Namespace, report: Report, *, of_reader: bool) -> None:
    _ = gangplank.PushgatewayExporter  # says which extra is missing, if one is
    from gangplank.commands import pushing  # noqa: PLC0415 - needs that extra

    pushing.check(given.gateway, given.job, report, of_reader=of_reader, dry=given.dry_run)


def _is_set(variable: str) -> bool:
    return bool(os.environ.get(variable, "").strip())

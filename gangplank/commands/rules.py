"""``gangplank rules``: alerts and what they are made of, for Prometheus."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from gangplank.commands import writing
from gangplank.errors import ConfigurationError
from gangplank.mixin import files, objectives

_DESCRIPTION = """
Prints the rules for Prometheus: alerts about training, inference, drift and telemetry, and what they are made of. With
--to, they are written into a folder, as a file that Prometheus's rule_files can name.
"""
_STATUS = """
Exit status: 0 if they were printed or written, 1 if they could not be, or would replace something else, 2 if an
argument is not allowed.
"""
_NOT_ALLOWED = 2


def add_to(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add the command to a parser's commands."""
    parser = commands.add_parser(
        "rules", help="print or write the rules for Prometheus", description=_DESCRIPTION, epilog=_STATUS
    )
    parser.add_argument(
        "--objective",
        default="99% in 0.25s",
        help="how many calls are to succeed, and how many of those are to be in time (default: 99%% in 0.25s)",
    )
    parser.add_argument(
        "--success-within",
        metavar="TIME",
        default="2d",
        help="how long after a success a model should have been trained with success again: two runs at least "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--runbooks",
        metavar="URL",
        default=files.RUNBOOKS,
        help="where the page of the runbooks is served (default: %(default)s, by make docs)",
    )
    writing.add_to(parser)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Print or write the rules, and return the exit status."""
    try:
        text = files.rules(
            objectives.objective(given.objective),
            objectives.duration("--success-within", given.success_within),
            objectives.address("--runbooks", given.runbooks),
        )
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return _NOT_ALLOWED
    if given.to is None:
        print(text, end="")
        return 0
    return writing.write({files.RULES: text}, given.to, replace=given.replace)

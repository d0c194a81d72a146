"""What can be asked of Gangplank at a command line: ``gangplank check``, ``watch``, ``rules``, ``dashboards``."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from gangplank.commands import check, dashboards, rules, watch


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit status.

    Args:
        arguments: The command line behind the program's name; by default that of this process.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # what a terminal cannot show is no reason to end
        sys.stdout.reconfigure(errors="backslashreplace")
    given = parser().parse_args(arguments)
    try:
        status: int = given.run(given)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough
        _discard_output()
        return 1
    return status


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(prog="gangplank", description="Observability for Keras models.")
    commands = found.add_subparsers(required=True, metavar="command")
    for command in (check, watch, rules, dashboards):
        command.add_to(commands)
    return found


def _discard_output() -> None:
    """Have what is still to be written go nowhere, so that the interpreter does not fail on it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""What can be asked of Gangplank at a command line: ``gangplank check``."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence

from gangplank.commands import check


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit status.

    Args:
        arguments: The command line behind the program's name; by default that of this process.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # what a terminal cannot show is no reason to end
        sys.stdout.reconfigure(errors="backslashreplace")
    parser = argparse.ArgumentParser(prog="gangplank", description="Observability for Keras models.")
    commands = parser.add_subparsers(required=True, metavar="command")
    check.add_to(commands)
    given = parser.parse_args(arguments)
    status: int = given.run(given)
    return status

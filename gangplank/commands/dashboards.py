"""``gangplank dashboards``: pages for Grafana to import."""

from __future__ import annotations

import argparse
import json
from typing import Any

from gangplank.commands import writing
from gangplank.mixin import files

_DESCRIPTION = """
Prints a dashboard, as JSON that Grafana imports. Without a name, it says which there are. With --to, the one that is
named, or all of them, are written into a folder, from which Grafana can be provisioned.
"""
_STATUS = """
Exit status: 0 if they were printed or written, 1 if they could not be, or would replace something else, 2 if an
argument is not allowed.
"""


def add_to(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add the command to a parser's commands."""
    parser = commands.add_parser(
        "dashboards", help="print or write the dashboards for Grafana", description=_DESCRIPTION, epilog=_STATUS
    )
    parser.add_argument("name", nargs="?", choices=files.DASHBOARDS, help="which one")
    writing.add_to(parser)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Print or write dashboards, and return the exit status."""
    names = files.DASHBOARDS if given.name is None else (given.name,)
    if given.to is not None:
        found = {f"gangplank-{name}.json": files.dashboard(name) for name in names}
        return writing.write(found, given.to, replace=given.replace)
    if given.name is not None:
        print(files.dashboard(given.name), end="")
        return 0
    for name in names:
        about = json.loads(files.dashboard(name))
        print(f"{name:<10} {about['title']}: {about['description']}")
    return 0

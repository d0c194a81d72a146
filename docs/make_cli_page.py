"""Writes docs/reference/cli.md from the commands' own parsers: python docs/make_cli_page.py [--check]."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from gangplank.commands import parser

PAGE = Path(__file__).parent / "reference" / "cli.md"

_CODE = re.compile(r"(--[a-z-]+|[A-Z]*_[A-Z_]+)")
_HEAD = """# Command line

`gangplank`, or `python -m gangplank`."""


def page() -> str:
    """Return the page."""
    (commands,) = (one for one in parser()._actions if isinstance(one, argparse._SubParsersAction))  # noqa: SLF001
    return "\n".join([_HEAD, *(_command(name, one) for name, one in commands.choices.items()), ""])


def _command(name: str, command: argparse.ArgumentParser) -> str:
    actions = [one for one in command._actions if not isinstance(one, argparse._HelpAction)]  # noqa: SLF001
    rows = "\n".join(f"| {_called(one)} | {_about(one)} |" for one in actions)
    texts = [_CODE.sub(r"`\1`", " ".join((text or "").split())) for text in (command.description, command.epilog)]
    parts = [f"\n## gangplank {name}", texts[0], f"| argument | meaning |\n|---|---|\n{rows}", texts[1]]
    return "\n\n".join(part for part in parts if part)


def _called(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if not action.option_strings:
        return f"`{metavar}`"
    value = "" if action.nargs == 0 else f" {metavar}"
    return ", ".join(f"`{option}{value}`" for option in action.option_strings)


def _about(action: argparse.Action) -> str:
    return ((action.help or "") % {**vars(action), "prog": "gangplank"}).replace("|", "\\|")


if __name__ == "__main__":
    if "--check" not in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page():
        sys.exit(f"{PAGE} is not what the parsers say: run python docs/make_cli_page.py")

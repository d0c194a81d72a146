"""Files that a command writes into a folder, or none of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

_REFUSED = 1


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where files are written."""
    parser.add_argument("--to", metavar="FOLDER", type=Path, help="write into this folder, instead of printing")
    parser.add_argument("--replace", action="store_true", help="replace files of that name which hold something else")


def write(files: Mapping[str, str], folder: Path, *, replace: bool) -> int:
    """Write files, say which, and return the exit status.

    Nothing is written where that would replace something else, unless that is asked for.

    Args:
        files: What they hold, by their names.
        folder: Where to. It is made if there is none.
        replace: Replace files that hold something else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = {name: _read(folder / name) for name in files}
        differ = [name for name, content in there.items() if content not in (None, files[name].encode())]
        if differ and not replace:
            names = ", ".join(str(folder / name) for name in differ)
            print(
                f"nothing is written, since these hold something else: {names} (--replace replaces them)",
                file=sys.stderr,
            )
            return _REFUSED
        for name, content in files.items():
            is_new = there[name] != content.encode()
            if is_new:
                (folder / name).write_bytes(content.encode())
            print(f"{'wrote' if is_new else 'unchanged'} {folder / name}")
    except OSError as error:
        print(f"could not write to {folder}: {error}", file=sys.stderr)
        return _REFUSED
    return 0


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None

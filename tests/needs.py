"""What a test needs besides Python: skipped where it is missing, and a failure where nothing may be."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip the test for want of ``what``; fail instead if GANGPLANK_REQUIRE_ALL says that nothing may be missing."""
    if os.environ.get("GANGPLANK_REQUIRE_ALL"):
        pytest.fail(f"missing: {what}")
    pytest.skip(f"missing: {what}")


def program(name: str, package: str) -> str:
    """Return the path of a program, of the Debian package ``package``."""
    path = shutil.which(name)
    if path is None:
        missing(f"{name}, from Debian's {package}")
    return path


def module(name: str) -> None:
    """See that a module is installed, without importing it."""
    if importlib.util.find_spec(name) is None:
        missing(name)

"""What a forked child does first: threads of its parent are not there, and not everything that it has is its own."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def in_child(method: Callable[[_T], object]) -> weakref.WeakSet[_T]:
    """Return a set. In a forked child, ``method`` is called with each of its members that is still alive."""
    members: weakref.WeakSet[_T] = weakref.WeakSet()

    def enter() -> None:
        for member in members:
            method(member)

    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(after_in_child=enter)
    return members

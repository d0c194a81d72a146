"""What is open in this process: the end of the program closes it, all of it together, in the time that one takes."""

from __future__ import annotations

import atexit
import sys
import time
from contextlib import suppress
from typing import Protocol

from gangplank import sigterm
from gangplank.errors import ExportError
from gangplank.trouble import Trouble

AT_EXIT = 5.0
"""Seconds that the end of a program, or of a ``with`` block, waits for what is not delivered yet."""

_AT_ONCE = 0.001
"""Seconds that are left where none are."""


class Closable(Protocol):
    """What is closed in two steps, so that many can be closed side by side; the first says who takes the second."""

    trouble: Trouble

    def flush(self, timeout: float) -> None:
        """Deliver what there is."""
        ...

    def begin_close(self, error: BaseException | None, deadline: float) -> bool:
        """Begin, and return whether it is for the caller to finish."""
        ...

    def finish_close(self, deadline: float) -> None:
        """Finish what this caller has begun."""
        ...

    def await_close(self, deadline: float) -> None:
        """Wait for another caller to finish."""
        ...


_open: set[Closable] = set()


def left(deadline: float) -> float:
    """Return the seconds until ``deadline``."""
    return max(deadline - time.monotonic(), 0)


def close(one: Closable, error: BaseException | None, deadline: float) -> None:
    """Close one, because of ``error`` if there is any."""
    if one.begin_close(error, deadline):
        one.finish_close(deadline)
    else:
        one.await_close(deadline)


def opened(one: Closable) -> bool:
    """Have ``one`` closed at the end of the program; return whether that is new."""
    if one in _open:
        return False
    _open.add(one)
    # Anew, so that it comes before what was registered earlier, such as a provider's own end.
    atexit.unregister(_close_at_exit)
    atexit.register(_close_at_exit)
    return True


def closed(one: Closable) -> None:
    """Take note that ``one`` is closed."""
    _open.discard(one)


def _close_at_exit() -> None:
    # The interpreter leaves here the exception that nobody caught; in an interactive session, some earlier one.
    _close_all(None if hasattr(sys, "ps1") else getattr(sys, "last_value", None))


def _close_all(error: BaseException | None) -> None:
    deadline = time.monotonic() + AT_EXIT
    begun = [(one, one.begin_close(error, deadline)) for one in list(_open)]
    for one, is_ours in begun:
        (one.finish_close if is_ours else one.await_close)(deadline)


def _deliver_all(*, ends: bool) -> None:
    if ends:
        _close_all(SystemExit())
        return
    deadline = time.monotonic() + AT_EXIT
    for one in list(_open):
        with one.trouble.contained("deliver"), suppress(ExportError):
            one.flush(max(left(deadline), _AT_ONCE))


sigterm.on_sigterm(_deliver_all, first=True)

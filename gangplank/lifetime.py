"""What is open in this process: the end of the program closes it, all of it together, in the time that one takes."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from contextlib import suppress
from typing import Protocol

from gangplank import sigterm
from gangplank.errors import ExportError
from gangplank.trouble import Trouble

AT_EXIT = 5.0
"""Seconds that the end of a program, or of a ``with`` block, waits for what is not delivered yet."""

_AFTER_SIGTERM = 1.0
"""Seconds of these that a program has at least which ends after it was waited for at SIGTERM."""

_AT_ONCE = 0.001
"""Seconds that are left where none are."""


class Closable(Protocol):
    """What is closed in two steps, so that many can be closed side by side.

    Attributes:
        trouble: Takes what goes wrong.
        is_last: It shows what others have, which are closed before.
    """

    trouble: Trouble
    is_last: bool

    def notify(self) -> None:
        """Begin to deliver what there is."""
        ...

    def flush(self, timeout: float) -> None:
        """Deliver what there is."""
        ...

    def begin_close(self, error: BaseException | None, deadline: float) -> None:
        """Begin to close, because of ``error`` if there is any. Does nothing where that has begun."""
        ...

    def finish_close(self, deadline: float) -> None:
        """Finish, or wait for another thread that does."""
        ...


_open: dict[Closable, None] = {}
_registered_in: int | None = None
_end: float | None = None
_delivery: float = 0.0


def left(deadline: float) -> float:
    """Return the seconds until ``deadline``."""
    return max(deadline - time.monotonic(), 0)


def opened(one: Closable) -> bool:
    """Have ``one`` closed at the end of the program; return whether that is new."""
    if one in _open:
        return False
    _open[one] = None
    # Anew, so that it comes before what was registered earlier, such as a provider's own end.
    atexit.unregister(_close_at_exit)
    atexit.register(_close_at_exit)
    _register_in_child()
    return True


def closed(one: Closable) -> None:
    """Take note that ``one`` is closed."""
    _open.pop(one, None)


def close(one: Closable, error: BaseException | None, seconds: float = AT_EXIT) -> None:
    """Close one.

    At the end of the program all are closed with it: whoever comes first, such as the MeterProvider of one, would
    otherwise spend the time of the others.

    Args:
        one: What to close.
        error: Why, if there is a reason.
        seconds: How long that may take.
    """
    deadline = time.monotonic() + seconds
    if not threading.main_thread().is_alive():
        deadline = min(deadline, _begin_end(error))
    one.begin_close(error, deadline)
    one.finish_close(deadline)


def handle_sigterm() -> None:
    """Have all deliver at SIGTERM, from now on.

    Raises:
        ConfigurationError: this is not the main thread, or the handler that is there is not Python's.
    """
    sigterm.install(_deliver)


def _register_in_child() -> None:
    """A child of ``multiprocessing`` may end without what is registered with ``atexit``."""
    global _registered_in  # noqa: PLW0603 - of this process
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None and _registered_in != os.getpid():
        from multiprocessing.util import Finalize  # noqa: PLC0415 - there already, in such a child

        _registered_in = os.getpid()
        Finalize(None, _close_in_child, exitpriority=100)


def _close_in_child() -> None:
    _close_all(sys.exc_info()[1])


def _close_at_exit() -> None:
    # The interpreter leaves here the exception that nobody caught; in an interactive session, some earlier one.
    _close_all(None if hasattr(sys, "ps1") else getattr(sys, "last_value", None))


def _close_all(error: BaseException | None) -> None:
    deadline = _begin_end(error)
    for one in _in_order():
        one.finish_close(deadline)


def _begin_end(error: BaseException | None) -> float:
    """Have all begin to close, and return when they are to be closed."""
    global _end  # noqa: PLW0603 - of this process
    if _end is None:
        now = time.monotonic()
        _end = max(now + _AFTER_SIGTERM, _delivery) if now < _delivery else now + AT_EXIT
    for one in _in_order():
        one.begin_close(error, _end)
    return _end


def _deliver(*, ends: bool) -> None:
    global _delivery  # noqa: PLW0603 - of this process
    if ends:
        _close_all(SystemExit())
        return
    _delivery = time.monotonic() + AT_EXIT
    for one in _in_order():
        one.notify()
    for one in _in_order():
        with one.trouble.contained("deliver"), suppress(ExportError):
            one.flush(max(left(_delivery), _AT_ONCE))


def _in_order() -> list[Closable]:
    return sorted(_open, key=lambda one: one.is_last)

"""A lock for what a process has one of."""

from __future__ import annotations

import threading
from contextlib import suppress
from types import TracebackType

from gangplank.forks import in_child


class Lock:
    """A re-entrant lock that is open in a forked child, though another thread held it at the moment of the fork.

    That thread is not there to let go of it. What the lock protects must bear that: a change to it that the child finds
    half done is one that it does not mind.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _all.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(RuntimeError):  # this thread has forked in between, and is the child
            self._lock.release()

    def renew(self) -> None:
        """Be open."""
        self._lock = threading.RLock()


_all = in_child(Lock.renew)

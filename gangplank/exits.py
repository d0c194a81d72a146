"""The exits of one telemetry: told of news, flushed, and closed once, after the runs that are still on."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from gangplank import lifetime
from gangplank.errors import ExportError
from gangplank.exporters.protocol import Handle
from gangplank.lifetime import left
from gangplank.locks import Lock
from gangplank.trouble import Trouble

_FOR_DRAINS = 1.0
"""Seconds of a closing for what is under way in the background: the exits need the rest."""

_T = TypeVar("_T")


class Exits:
    """Exits that are open, and what is to be done before they are closed.

    Args:
        trouble: Takes what goes wrong.
        lock: Held by whoever adds one, so that none is added to those that are being closed.

    Attributes:
        trouble: As given.
    """

    def __init__(self, trouble: Trouble, lock: Lock) -> None:
        self.trouble = trouble
        self._lock = lock
        self._handles: list[Handle] = []
        self._endings: list[Callable[[BaseException | None], None]] = []
        self._drains: list[Callable[[float], None]] = []
        self._opened_in: int | None = None
        self._closer: int | None = None
        self._closed = threading.Event()

    @property
    def is_closed(self) -> bool:
        """Whether closing has begun."""
        return self._closer is not None

    @property
    def is_parents(self) -> bool:
        """Whether this is a forked child's copy of what its parent has opened."""
        return self._opened_in is not None and self._opened_in != os.getpid()

    @property
    def handles(self) -> tuple[Handle, ...]:
        """Those that are open, in the order in which they were added."""
        return tuple(self._handles)

    def open(self) -> None:
        """Have these closed at the end of the program.

        Raises:
            ExportError: they are closed.
        """
        if self.is_closed:
            raise ExportError("this telemetry is closed and cannot be started again: make a new one")
        if lifetime.opened(self):
            self._opened_in = os.getpid()

    def add(self, handle: Handle) -> None:
        """Take one more; the caller holds the lock and has them open."""
        self._handles.append(handle)

    def on_close(self, ending: Callable[[BaseException | None], None]) -> Callable[[], None]:
        """Have ``ending`` called before these are closed; the function returned takes that back."""
        return _add(self._endings, ending)

    def on_delivery(self, drain: Callable[[float], None]) -> Callable[[], None]:
        """Have ``drain`` called before these are flushed or closed; the function returned takes that back."""
        return _add(self._drains, drain)

    def notify(self) -> None:
        """Tell all that there is something new."""
        for handle in self.handles:
            with self.trouble.contained("notify an exporter"):
                handle.notify()

    def flush(self, timeout: float) -> None:
        """Have all deliver, within ``timeout`` seconds.

        Raises:
            ExportError: one could not, or they are closed. The others have delivered.
        """
        if self.is_closed:
            raise ExportError("this telemetry is closed: what it had was delivered then, if it could be")
        deadline = time.monotonic() + timeout
        self._drain(deadline)
        failure: ExportError | None = None
        for handle in self.handles:
            with self.trouble.contained("flush an exporter"):
                try:
                    handle.flush(left(deadline))
                except ExportError as error:
                    failure = failure or error
        if failure is not None:
            raise failure

    def begin_close(self, error: BaseException | None, deadline: float) -> bool:
        """End the runs and have all begin to close; return whether it is for the caller to finish that."""
        if self.is_parents:
            return False
        with self._lock:
            if self.is_closed:
                return False
            self._closer = threading.get_ident()
        for ending in list(self._endings):
            with self.trouble.contained("end a run"):
                ending(error)
        self._drain(min(deadline, time.monotonic() + _FOR_DRAINS))
        for handle in self._handles:
            with self.trouble.contained("close an exporter"):
                handle.begin_close()
        return True

    def finish_close(self, deadline: float) -> None:
        """Close all that have begun to."""
        with self._lock:
            handles, self._handles = self._handles, []
            lifetime.closed(self)
        for handle in handles:
            with self.trouble.contained("close an exporter"):
                handle.close(left(deadline))
        self._closed.set()

    def await_close(self, deadline: float) -> None:
        """Wait for another thread that closes; for this one itself, in the middle of closing, there is no waiting."""
        if not self.is_parents and self._closer != threading.get_ident():
            self._closed.wait(left(deadline))

    def _drain(self, deadline: float) -> None:
        for drain in tuple(self._drains):
            with self.trouble.contained("finish what is under way"):
                drain(left(deadline))


def _add(items: list[_T], item: _T) -> Callable[[], None]:
    items.append(item)

    def take_back() -> None:
        if item in items:
            items.remove(item)

    return take_back

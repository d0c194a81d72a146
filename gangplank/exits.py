"""The exits of one telemetry: told of news, flushed, and closed once, after the runs that are still on."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from gangplank import lifetime
from gangplank.errors import ExportError
from gangplank.lifetime import left
from gangplank.locks import Lock
from gangplank.trouble import Trouble

if TYPE_CHECKING:
    from gangplank.exporters.protocol import Handle

_FOR_DRAINS = 1.0
"""Seconds of a closing for what is under way in the background: the exits need the rest."""

_T = TypeVar("_T")


class Exits:
    """Exits that are open, and what is to be done before they are closed.

    Args:
        trouble: Takes what goes wrong.
        lock: Held by whoever adds one, so that none is added to those that are being closed.
        is_last: They show what others have, which are closed before.

    Attributes:
        trouble: As given.
        is_last: As given.
    """

    def __init__(self, trouble: Trouble, lock: Lock, *, is_last: bool = False) -> None:
        self.trouble = trouble
        self.is_last = is_last
        self._lock = lock
        self._handles: list[Handle] = []
        self._endings: list[Callable[[BaseException | None], None]] = []
        self._drains: list[Callable[[float], None]] = []
        self._opened_in: int | None = None
        self._is_closed = self._is_ending_runs = False
        self._closer: int | None = None
        self._closed = threading.Event()

    @property
    def is_closed(self) -> bool:
        """Whether closing has begun."""
        return self._is_closed

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

    def begin_close(self, error: BaseException | None, deadline: float) -> None:
        """End the runs and have all begin to close, if that has not begun yet."""
        with self._lock:
            if self.is_parents or (self._is_closed and self._closer is not None):
                return
            self._is_closed, self._closer = True, threading.get_ident()
        with self._taken_up_again_if_interrupted():
            self._is_ending_runs = True
            try:
                self._end_runs(error, deadline)
            finally:
                self._is_ending_runs = False
                for handle in self._handles:
                    with self.trouble.contained("close an exporter"):
                        handle.begin_close()

    def finish_close(self, deadline: float) -> None:
        """Close all that have begun to, or wait for another thread that does."""
        with self._lock:
            if self.is_parents or self._closed.is_set():
                return
            is_others = self._closer not in (None, threading.get_ident())
            if not is_others:
                self._closer = threading.get_ident()
        if is_others:
            self._closed.wait(left(deadline))
        elif not self._is_ending_runs:  # else an ending closes, too, and the rest comes when it is through
            with self._taken_up_again_if_interrupted():
                for handle in self._handles:
                    with self.trouble.contained("close an exporter"):
                        handle.close(left(deadline))
            self._handles = []
            lifetime.closed(self)
            self._closed.set()

    @contextmanager
    def _taken_up_again_if_interrupted(self) -> Generator[None, None, None]:
        """Leave what Ctrl-C interrupts to whoever closes next: the end of the program, at the latest."""
        try:
            yield
        except BaseException:
            self._closer = None
            raise

    def _end_runs(self, error: BaseException | None, deadline: float) -> None:
        for ending in reversed(list(self._endings)):  # spans end as they are nested
            with self.trouble.contained("end a run"):
                ending(error)
        self._drain(min(deadline, time.monotonic() + _FOR_DRAINS))

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

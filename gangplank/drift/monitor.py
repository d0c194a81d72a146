"""Runs a drift function on a thread of its own, so that those who predict do not wait for it."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from gangplank.drift.batches import Batch, alike, joined
from gangplank.drift.result import Drift, DriftResult

DriftFunction = Callable[[Any, Any], Drift | DriftResult | None]
"""Takes the inputs and the predictions of one call."""

MOST_SAMPLES = 16_384
MOST_BYTES = 64 * 2**20
"""How much may wait to be tested. A single batch may be larger, if nothing else waits."""

_PAUSE = 0.1
"""Seconds for which batches gather. A thread that woke for each would take the interpreter from who predicts."""
_MOST_JOINED = 1024
"""Samples that are joined to one batch. What is left of the others can be dropped when there is no more time."""


class Report(Protocol):
    """Hears what becomes of each batch, on whichever thread that is."""

    def tested(self, samples: int, drift: Any, /) -> None:  # noqa: ANN401 - whatever the function returns
        """Called with what the drift function returned."""
        ...

    def dropped(self, samples: int) -> None:
        """Called when there was no room for a batch, or no time."""
        ...

    def failed(self, samples: int, error: BaseException) -> None:
        """Called with what the drift function raised."""
        ...


class Monitor:
    """Hands batches to a drift function, one after another.

    A forked child has a monitor of its own, with nothing waiting.

    Args:
        function: The drift function.
        report: Hears what becomes of each batch.
        joins: Whether batches that wait together are handed over as one. It takes far less time to look at.
    """

    def __init__(self, function: Callable[[Any, Any], Any], report: Report, *, joins: bool = False) -> None:
        self._function = function
        self._report = report
        self._joins = joins
        self._begin()

    def submit(self, samples: int, size: int, keep: Callable[[], tuple[Any, Any]]) -> None:
        """Have a batch tested soon, or drop it if too much waits already.

        Args:
            samples: How many there are.
            size: Bytes that they take.
            keep: Returns the inputs and the predictions, which nobody else writes to. Called if there is room for them.
        """
        if os.getpid() != self._pid:
            self._begin()
        try:
            is_taken = self._queue.put(samples, size, keep)
        except RuntimeError:  # no thread can be started: the machine has no more of them, or the interpreter is ending
            is_taken = False
        if not is_taken:
            self._report.dropped(samples)

    def run(self, x: Any, y: Any, samples: int) -> None:  # noqa: ANN401
        """Test a batch now."""
        try:
            _test(self._function, self._report, Batch(x, y, samples, 0))
        except Exception as error:  # noqa: BLE001 - the function is the user's, and the prediction was made
            self._report.failed(samples, error)

    def drain(self, timeout: float) -> None:
        """Wait until nothing waits to be tested; after ``timeout`` seconds drop what still does."""
        if os.getpid() == self._pid:
            for batch in self._queue.drain(timeout):
                self._report.dropped(batch.samples)

    def end(self, then: Callable[[], object]) -> None:
        """Take no more batches. Those that wait are tested; ``then`` is called when they are."""
        self._queue.end(then)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._queue = _Queue(self._function, self._report, joins=self._joins)
        weakref.finalize(self, self._queue.end).atexit = False


class _Queue:
    """What waits, and the thread that works on it, which begins with the first batch."""

    def __init__(self, function: Callable[[Any, Any], Any], report: Report, *, joins: bool) -> None:
        self._function = function
        self._report = report
        self._joins = joins
        self._pid = os.getpid()
        self._waiting: deque[Batch] = deque()
        self._samples = self._size = 0
        self._is_busy = self._is_over = self._is_idle = False
        self._hurried = 0
        self._gathered = 0
        self._then: Callable[[], object] = _nothing
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, samples: int, size: int, keep: Callable[[], tuple[Any, Any]]) -> bool:
        """Add a batch, and return whether there was room for it."""
        with self._changed:
            is_full = self._samples + samples > MOST_SAMPLES or self._size + size > MOST_BYTES
            if (self._samples or self._size) and is_full:
                return False
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="gangplank-drift", daemon=True)
                thread.start()
                self._thread = thread
            self._take(samples, size)
        try:
            batch = Batch(*keep(), samples, size)
        except BaseException:
            with self._changed:
                self._take(-samples, -size)
            raise
        with self._changed:
            self._waiting.append(batch)
            if self._is_idle or self._is_half_full():
                self._is_idle = False
                self._changed.notify_all()
        return True

    def drain(self, timeout: float) -> list[Batch]:
        """Wait until all is done, and return, no longer to be done, what is not."""
        with self._changed:
            self._hurried += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not (self._waiting or self._is_busy), timeout)
            self._hurried -= 1
            left = list(self._waiting)
            self._waiting.clear()
            self._gathered = 0
            for batch in left:
                self._take(-batch.samples, -batch.size)
        return left

    def _take(self, samples: int, size: int) -> None:
        self._samples += samples
        self._size += size

    def _is_half_full(self) -> bool:
        return 2 * self._samples > MOST_SAMPLES or 2 * self._size > MOST_BYTES

    def end(self, then: Callable[[], object] | None = None) -> None:
        """Let the thread end once nothing waits, and call ``then``."""
        if os.getpid() != self._pid:  # a forked child has no such thread, and maybe a lock that nobody will let go of
            return
        with self._changed:
            self._is_over = True
            if then is not None:
                self._then = then
            self._changed.notify_all()
        if then is not None and self._thread is None:
            then()

    def _work(self) -> None:
        while batches := self._next():
            for group in alike(batches):
                try:
                    _test(self._function, self._report, joined(group))
                except BaseException as error:  # noqa: BLE001 - also what would end the thread, unheard by anybody
                    self._report.failed(sum(batch.samples for batch in group), error)
        self._then()

    def _next(self) -> list[Batch]:
        """Return what to look at now; nothing when all is over."""
        with self._changed:
            self._is_busy = False
            self._changed.notify_all()
            while not self._gathered:
                if self._waiting:
                    self._changed.wait_for(lambda: self._is_over or self._hurried or self._is_half_full(), _PAUSE)
                    self._gathered = len(self._waiting)
                elif self._is_over:
                    return []
                else:
                    self._is_idle = True
                    self._changed.wait_for(lambda: self._waiting or self._is_over)
                    self._is_idle = False
            self._is_busy = True
            return self._taken()

    def _taken(self) -> list[Batch]:
        """Take the first of what has gathered, and more of it if batches are joined."""
        taken: list[Batch] = []
        samples = 0
        while self._gathered and (not taken or (self._joins and samples + self._waiting[0].samples <= _MOST_JOINED)):
            taken.append(self._waiting.popleft())
            self._gathered -= 1
            self._take(-taken[-1].samples, -taken[-1].size)
            samples += taken[-1].samples
        return taken


def _nothing() -> None:
    pass


def _test(function: Callable[[Any, Any], Any], report: Report, batch: Batch) -> None:
    report.tested(batch.samples, function(batch.x, batch.y))

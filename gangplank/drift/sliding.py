"""A window over a stream, which slides by whole strides, however the stream comes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from gangplank.drift.calibration import Schedule
from gangplank.errors import ConfigurationError

Counts = npt.NDArray[Any]
_STRIDES = 20


def schedule(ert: int, window: int, stride: int | None) -> Schedule:
    """Return a schedule whose window is made of whole strides; if ``stride`` is None, of 20 or a few more.

    Raises:
        TypeError: one of the arguments is no whole number.
        ConfigurationError: one is out of range, or the window is no multiple of the stride.
    """
    result = Schedule.of(ert, window, stride)
    if stride is None:
        most = max(1, window // _STRIDES)
        return Schedule(ert, window, next(step for step in range(most, 0, -1) if window % step == 0))
    if window % stride:
        raise ConfigurationError(f"stride must divide the window, {window}, got {stride}")
    return result


class Blocks:
    """Cuts a stream of rows into blocks of one length, which do not depend on the batches it comes in.

    Args:
        length: Rows in a block.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._waiting: list[npt.NDArray[Any]] = []

    def cut(self, rows: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
        """Yield the blocks that these rows complete. What is left waits for more."""
        start = 0
        if self._waiting:
            start = self._length - sum(map(len, self._waiting))
            self._waiting.append(rows[:start].copy())
            if len(rows) < start:
                return
            first, self._waiting = np.concatenate(self._waiting), []
            yield first
        whole = start + (len(rows) - start) // self._length * self._length
        for begin in range(start, whole, self._length):
            yield rows[begin : begin + self._length]
        if whole < len(rows):
            self._waiting = [rows[whole:].copy()]  # the caller may write to its own

    def waiting(self) -> npt.NDArray[Any] | None:
        """Return what waits; None for nothing."""
        return np.concatenate(self._waiting) if self._waiting else None

    def take(self, waiting: npt.NDArray[Any] | None) -> None:
        """Have that wait instead."""
        self._waiting = [] if waiting is None else [waiting]


class SlidingCounts:
    """The counts of the last blocks, in whole numbers: they stay exact for ever.

    Args:
        schedule: The detector's.
        least: Observations without which the counts say too little; there must be a quarter of a window, anyway.

    Attributes:
        least: After how many observations a window that was empty says something: when it is full, at the latest.
        total: The counts.
    """

    def __init__(self, schedule: Schedule, least: int) -> None:
        self._schedule = schedule
        enough = min(schedule.window, max(least, schedule.window / 4))
        self.least = math.ceil(enough / schedule.stride) * schedule.stride
        self._blocks: deque[Counts] = deque()
        self.total: Counts = np.zeros((), np.int64)

    @property
    def observations(self) -> int:
        """How many are in the window."""
        return len(self._blocks) * self._schedule.stride

    @property
    def fill(self) -> float:
        """How much of the window is filled, from 0 to 1."""
        return self.observations / self._schedule.window

    @property
    def is_enough(self) -> bool:
        """Whether the window says something."""
        return self.observations >= self.least

    def add(self, counts: Counts) -> None:
        """Take in the counts of a block, and let go of the oldest if the window was full."""
        self._blocks.append(counts)
        self.total = self.total + counts
        if self.observations > self._schedule.window:
            self.total = self.total - self._blocks.popleft()

    def clear(self) -> None:
        """Empty the window."""
        self._blocks.clear()
        self.total = np.zeros((), np.int64)

    def blocks(self) -> Counts | None:
        """Return the counts of the blocks that are in the window, the oldest first; None for none."""
        return np.stack(self._blocks) if self._blocks else None

    def take(self, blocks: Counts | None) -> None:
        """Have these be in the window instead."""
        self.clear()
        for counts in () if blocks is None else blocks:
            self.add(counts)

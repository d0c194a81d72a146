"""The past of one series, in a bounded number of points."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Sequence

MOST_POINTS = 1000

Point = tuple[float, float]
"""Unix time and value."""


class Track:
    """What a series was, from when it was first seen until now.

    When there are too many points every other one goes, and from then on they are taken half as often: the whole time
    stays in view. The newest is always there.

    Args:
        is_counter: It only grows, unless what counts begins anew: points are then its growth since it was first seen.
    """

    def __init__(self, *, is_counter: bool = False) -> None:
        self.latest = math.nan
        self.is_present = False
        self._is_counter = is_counter
        self._times = array("d")
        self._values = array("d")
        self._spacing = 0.0

    @property
    def points(self) -> list[Point]:
        """All points, oldest first. A value of NaN is one, or a time at which there was none."""
        return list(zip(self._times, self._values, strict=True))

    @property
    def times(self) -> Sequence[float]:
        """The times of all points."""
        return self._times

    def add(self, time: float, value: float) -> None:
        """Take what it is now."""
        point = self._grown(value) if self._is_counter else value
        self.latest, self.is_present = value, True
        self._append(time, point)

    def miss(self, time: float) -> None:
        """Take that it is not there now."""
        if self.is_present and not self._is_counter:
            self._append(time, math.nan)
        self.is_present = False

    def at(self, time: float) -> Point | None:
        """Return the point at a time, or else the last before it, or else the first."""
        if not self._times:
            return None
        index = max(bisect_right(self._times, time) - 1, 0)
        return self._times[index], self._values[index]

    def _grown(self, value: float) -> float:
        if not self._values:
            return 0.0
        before = self.latest
        growth = value if value < before else value - before
        return self._values[-1] + (growth if math.isfinite(growth) else 0.0)

    def _append(self, time: float, value: float) -> None:
        times, values = self._times, self._values
        if times and time <= times[-1]:  # a clock that was set back
            time = math.nextafter(times[-1], math.inf)
        if len(times) > 1 and time - times[-2] < self._spacing:
            times[-1], values[-1] = time, value
            return
        times.append(time)
        values.append(value)
        if len(times) > MOST_POINTS:
            del times[1:-1:2], values[1:-1:2]
            self._spacing = (times[-1] - times[0]) / len(times)

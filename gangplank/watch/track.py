"""The past of one series, as it was read of a server."""

from __future__ import annotations

import math

from gangplank.history.track import Point
from gangplank.history.track import Track as Line

MOST_POINTS = 1000


class Track:
    """What a series was, from when it was first seen until now.

    Args:
        is_counter: It only grows, unless what counts begins anew: points are then its growth since it was first seen.

    Attributes:
        latest: What it was when it was last there.
        is_present: It was there at the last reading.
    """

    def __init__(self, *, is_counter: bool = False) -> None:
        self.latest = math.nan
        self.is_present = False
        self._is_counter = is_counter
        self._line = Line(MOST_POINTS)

    @property
    def points(self) -> list[Point]:
        """All points, oldest first. A value of NaN is one, or a time at which there was none."""
        return self._line.points()

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
        return self._line.at(time)

    def _grown(self, value: float) -> float:
        newest = self._line.newest
        if newest is None:
            return 0.0
        growth = value if value < self.latest else value - self.latest
        return newest[1] + (growth if math.isfinite(growth) else 0.0)

    def _append(self, time: float, value: float) -> None:
        newest = self._line.newest
        if newest is not None and time <= newest[0]:  # a clock that was set back
            time = math.nextafter(newest[0], math.inf)
        self._line.add(time, value)

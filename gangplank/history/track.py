"""One line of a chart: points that are thinned, and not cut, when there are too many."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable

MOST = 2000
"""Points that a track keeps at the most, those aside that are not settled yet."""

_AT_ONCE = 4
"""Points of which two are kept when there are too many."""

Point = tuple[float, float]
"""A Unix time, and the value then."""


class Track:
    """Points in time, from the first one to the newest.

    When there are too many, two of every four stay: the least and the greatest. From then on, two of each four that
    come are kept, of each eight the next time, and so on. So each point is a value that really was, peaks stay, and
    all parts of the time are kept equally fine.

    Args:
        most: How many are too many.
    """

    __slots__ = ("_group", "_high", "_low", "_most", "_newest", "_seen", "_times", "_values")

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._times = array("d")
        self._values = array("d")
        self._group = 1
        self._seen = 0
        self._low = self._high = self._newest = (0.0, 0.0)

    @property
    def newest(self) -> Point | None:
        """The last point, if there is one."""
        return self._newest if self._times or self._seen else None

    def add(self, at: float, value: float) -> None:
        """Add a point, which is not before the last one."""
        point = (at, value)
        if not self._seen or _order(point) < _order(self._low):
            self._low = point
        if not self._seen or _order(point) >= _order(self._high):
            self._high = point
        self._newest = point
        self._seen += 1
        if self._seen >= self._group:
            self._seen = 0
            self._keep({self._low, self._high})

    def restamp(self, at: float) -> None:
        """Have the last point be at another time, while points are kept one by one."""
        if self._group == 1 and self._times:
            self._times[-1] = at
            self._newest = (at, self._newest[1])

    def points(self, since: float = -math.inf) -> list[Point]:
        """Return the points after a time, the newest always among them."""
        first = bisect_right(self._times, since)
        points = list(zip(self._times[first:], self._values[first:], strict=True))
        return [*points, *(one for one in self._unsettled() if one[0] > since)]

    def at(self, moment: float) -> Point | None:
        """Return the last point until a moment, or else the first one, or None if there is none."""
        unsettled = [one for one in self._unsettled() if one[0] <= moment]
        if unsettled or not self._times:
            return unsettled[-1] if unsettled else None
        index = max(bisect_right(self._times, moment) - 1, 0)
        return self._times[index], self._values[index]

    def _unsettled(self) -> list[Point]:
        return sorted({self._low, self._high, self._newest}) if self._seen else []

    def _keep(self, points: Iterable[Point]) -> None:
        for at, value in sorted(points):
            self._times.append(at)
            self._values.append(value)
        if len(self._times) >= self._most:
            self._thin()

    def _thin(self) -> None:
        before = list(zip(self._times, self._values, strict=True))
        self._times, self._values = array("d"), array("d")
        for begin in range(0, len(before), _AT_ONCE):
            some = before[begin : begin + _AT_ONCE]
            extremes = {min(some, key=_order), max(reversed(some), key=_order)}
            for at, value in sorted(extremes):
                self._times.append(at)
                self._values.append(value)
        self._group = max(2 * self._group, _AT_ONCE)


def _order(point: Point) -> Point:
    """Return a key by which NaN is the greatest, so that it stays."""
    value = point[1]
    return (1.0, 0.0) if math.isnan(value) else (0.0, value)

"""All tracks that there are: a bounded number of them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gangplank.history.lines import Line, Subject
from gangplank.history.track import Track

MOST = 300
"""Tracks that are kept at the most: 10 MB."""

_IDLE = 600.0
"""Seconds without a point after which a track gives way to a new one."""


class Book:
    """Tracks of lines.

    Attributes:
        left_out: Lines there was no room for.
    """

    def __init__(self) -> None:
        self._tracks: dict[tuple[Subject, Line], Track] = {}
        self.left_out: set[tuple[Subject, Line]] = set()
        self._floor = -math.inf

    def reported(self, until: float) -> None:
        """Take note that all points until a time were reported: those that come now are later."""
        self._floor = math.nextafter(until, math.inf)

    def later(self, at: float) -> float:
        """Return a time, or the first one that was not reported yet, if that is later."""
        return max(at, self._floor)

    def add(self, subject: Subject, line: Line, at: float, value: float) -> None:
        """Add a point to a line."""
        track = self._track(subject, line, at)
        if track is not None:
            newest = track.newest
            track.add(max(self.later(at), at if newest is None else newest[0]), value)

    def restamp(self, subject: Subject, line: Line, at: float) -> None:
        """Have a line's last point be at another time."""
        track = self._tracks.get((subject, line))
        if track is not None:
            track.restamp(self.later(at))

    def newest(self, subject: Subject, line: Line) -> float | None:
        """Return the last value of a line, if there is one."""
        track = self._tracks.get((subject, line))
        return None if track is None or track.newest is None else track.newest[1]

    def points(self, subject: Subject, line: Line) -> list[tuple[float, float]]:
        """Return the points of a line."""
        track = self._tracks.get((subject, line))
        return [] if track is None else track.points()

    def forget(self, subject: Subject, sections: tuple[str, ...]) -> None:
        """Forget the lines of these parts of the page."""
        for key in [key for key in self._tracks if key[0] == subject and key[1].section in sections]:
            del self._tracks[key]

    def each(self, since: float) -> Iterator[tuple[Subject, Line, list[tuple[float, float]]]]:
        """Yield all lines, with their points after a time."""
        for (subject, line), track in self._tracks.items():
            yield subject, line, track.points(since)

    def _track(self, subject: Subject, line: Line, at: float) -> Track | None:
        key = subject, line
        if key not in self._tracks:
            if len(self._tracks) >= MOST and not self._make_room(at):
                if len(self.left_out) < MOST:
                    self.left_out.add(key)
                return None
            self._tracks[key] = Track()
            self.left_out.discard(key)
        return self._tracks[key]

    def _make_room(self, now: float) -> bool:
        """Forget the line that has been idle for longest, if it has been for long."""
        oldest = min(self._tracks, key=lambda key: (self._tracks[key].newest or (-math.inf, 0.0))[0])
        newest = self._tracks[oldest].newest
        if newest is not None and now - newest[0] < _IDLE:
            return False
        del self._tracks[oldest]
        return True

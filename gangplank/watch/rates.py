"""What counters and histograms say of a stretch of time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from gangplank.history import quantiles as histograms
from gangplank.history.track import Point
from gangplank.watch.track import Track

SPAN = 30.0
"""Seconds that a rate is taken over: long enough for some requests, short enough to be of now."""


def moments(tracks: Iterable[Track]) -> list[float]:
    """Return all times at which one of them has a point, but the first, of which no growth is known."""
    return sorted({time for track in tracks for time, _ in track.points})[1:]


def growth(track: Track, time: float) -> tuple[float, float]:
    """Return by how much a counter grew up to a time, and in how many seconds."""
    now, before = track.at(time), track.at(time - SPAN)
    if now is None or before is None or now[0] > time:
        return 0.0, 0.0
    return now[1] - before[1], now[0] - before[0]


def rates(tracks: Sequence[Track]) -> list[Point]:
    """Return how much counters grew together, a second."""
    return [(time, rate) for time in moments(tracks) if not math.isnan(rate := _rate(tracks, time))]


def _rate(tracks: Sequence[Track], time: float) -> float:
    grown = [growth(track, time) for track in tracks]
    seconds = max((seconds for _, seconds in grown), default=0.0)
    return sum(amount for amount, _ in grown) / seconds if seconds else math.nan


def shares(part: Sequence[Track], whole: Sequence[Track]) -> list[Point]:
    """Return what counters grew by, divided by what others grew by; NaN where those did not grow."""
    return [(time, _share(part, whole, time)) for time in moments(whole)]


def _share(part: Sequence[Track], whole: Sequence[Track], time: float) -> float:
    of = sum(growth(track, time)[0] for track in whole)
    return sum(growth(track, time)[0] for track in part) / of if of else math.nan


def quantiles(buckets: Sequence[tuple[float, Track]], share: float) -> list[Point]:
    """Return a quantile of what was observed in the time before each moment; NaN where nothing was.

    Args:
        buckets: Upper bounds and their counters, of several histograms of the same bounds if need be.
        share: Which quantile, from 0 to 1.
    """
    return [
        (time, quantile([(bound, growth(track, time)[0]) for bound, track in buckets], share))
        for time in moments(track for _, track in buckets)
    ]


def quantile(counts: Iterable[tuple[float, float]], share: float) -> float:
    """Return a quantile, as Prometheus has it; NaN where nothing was observed.

    Args:
        counts: Upper bounds, and how many observations were at most that.
        share: Which quantile, from 0 to 1.
    """
    together: dict[float, float] = {}
    for bound, count in counts:
        together[bound] = together.get(bound, 0.0) + count
    total = max(together.values(), default=0.0)
    finite = sorted(bound for bound in together if not math.isinf(bound))
    if not finite or total <= 0:
        return math.nan
    found = histograms.quantile(share, finite, [*(together[bound] for bound in finite), total])
    return math.nan if found is None else found

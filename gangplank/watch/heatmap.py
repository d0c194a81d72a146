"""A distribution over time: how it was spread, moment by moment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from gangplank.history.snapshots import MOST_BUCKETS
from gangplank.watch.track import Track

_MOST_COLUMNS = 250


class Bucket(NamedTuple):
    """What share of a whole was between two values."""

    low: float
    high: float
    share: float


@dataclass(frozen=True, slots=True)
class Heatmap:
    """A distribution over time.

    Attributes:
        title: What is drawn.
        columns: Unix times, oldest first, and the buckets that held anything then; none where that is not known.
    """

    title: str
    columns: list[tuple[float, list[Bucket]]]


def heatmap(
    title: str, buckets: Sequence[tuple[float, Track]], least: Track | None, greatest: Track | None
) -> Heatmap | None:
    """Return a distribution over time; None if there is none, or of too many buckets.

    Args:
        title: What it is called.
        buckets: Upper bounds, and how many there were at or below each. There may be others from some moment on.
        least: The least of all, by which the first bucket is closed.
        greatest: The greatest, likewise.
    """
    whole = next((track for bound, track in buckets if math.isinf(bound)), None)
    if whole is None or len(buckets) > MOST_BUCKETS:
        return None
    in_order = sorted(buckets, key=lambda bucket: bucket[0])
    times = [time for time, _ in whole.points]
    shown = times[:: -(-len(times) // _MOST_COLUMNS)]
    columns = [(time, list(_buckets(in_order, least, greatest, time))) for time in dict.fromkeys([*shown, times[-1]])]
    return Heatmap(title, columns) if any(held for _, held in columns) else None


def _buckets(
    in_order: Sequence[tuple[float, Track]], least: Track | None, greatest: Track | None, time: float
) -> Iterator[Bucket]:
    """Yield the buckets that held anything at a time, closed by the least and the greatest of all."""
    known = [(bound, count) for bound, track in in_order if math.isfinite(count := _at(track, time, math.nan))]
    if len(known) < 2 or not math.isinf(known[-1][0]) or known[-1][1] <= 0:  # noqa: PLR2004 - one more than the whole
        return
    finite = [bound for bound, _ in known if math.isfinite(bound)]
    first, last = _at(least, time, finite[0]), _at(greatest, time, finite[-1])
    for (low, before), (high, count) in pairwise([(-math.inf, 0.0), *known]):
        if count > before:
            begin = max(low, min(first, high))
            yield Bucket(begin, max(begin, min(high, last)), (count - before) / known[-1][1])


def _at(track: Track | None, time: float, otherwise: float) -> float:
    """Return what a series was at a time, or something else if that is not known or not finite."""
    point = None if track is None else track.at(time)
    return otherwise if point is None or point[0] > time or not math.isfinite(point[1]) else point[1]

"""Heatmaps in characters: the denser, the darker."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

from rich.text import Text

from gangplank import words
from gangplank.watch.heatmap import Bucket, Heatmap

_SHADES = " ░▒▓█"
_COLOR = 6
"""Cyan, of the sixteen that a terminal has at least."""
_ROWS_A_LABEL = 3
_LEAST_SPAN = 1e-12


def shade(heatmap: Heatmap, width: int, height: int) -> Text:
    """Return a heatmap without a legend: values upwards, time to the right.

    As buckets differ in width, what is drawn is how dense they are, compared with the densest of that moment.

    Args:
        heatmap: What to draw.
        width: Columns.
        height: Rows.
    """
    held = [bucket for _, buckets in heatmap.columns for bucket in buckets]
    low, high = min(bucket.low for bucket in held), max(bucket.high for bucket in held)
    if high - low < _LEAST_SPAN * max(abs(low), abs(high), _LEAST_SPAN):
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    rows = height - 1
    edges = [low + (high - low) * index / rows for index in range(rows + 1)]
    labels = {row: words.number(edges[row]) for row in range(0, rows, _ROWS_A_LABEL)}
    room = max(len(label) for label in labels.values()) + 1
    columns = [_column(buckets, edges) for buckets in _moments(heatmap, width - room)]
    text = Text(no_wrap=True)
    for row in reversed(range(rows)):
        text.append(labels.get(row, "").rjust(room - 1) + " ")
        text.append("".join(column[row] for column in columns) + "\n", style=f"color({_COLOR})")
    times = words.clock(heatmap.columns[0][0]), words.clock(heatmap.columns[-1][0])
    return text.append(" " * room + times[0] + times[1].rjust(width - room - len(times[0])))


def newest(heatmap: Heatmap) -> str:
    """Return from where to where it reached when it was last known."""
    held = next(buckets for _, buckets in reversed(heatmap.columns) if buckets)
    return f"{words.number(held[0].low)} to {words.number(held[-1].high)}"


def _moments(heatmap: Heatmap, count: int) -> Iterator[list[Bucket]]:
    """Yield what was known at so many moments, equally far apart, of which the last is the newest."""
    times = [time for time, _ in heatmap.columns]
    for index in range(count):
        moment = times[-1] - (times[-1] - times[0]) * (count - 1 - index) / (count - 1)
        yield heatmap.columns[max(bisect_right(times, moment) - 1, 0)][1]


def _column(buckets: Sequence[Bucket], edges: Sequence[float]) -> str:
    """Return the characters of a moment, from the bottom."""
    held = [sum(_within(bucket, low, high) for bucket in buckets) for low, high in pairwise(edges)]
    most = max(held)
    return "".join(_SHADES[math.ceil((len(_SHADES) - 1) * math.sqrt(one / most))] if most else " " for one in held)


def _within(bucket: Bucket, low: float, high: float) -> float:
    """Return what share of the whole a bucket has between two values, if it is spread evenly."""
    width = bucket.high - bucket.low
    if width <= _LEAST_SPAN * (high - low):
        return bucket.share if low <= bucket.low < high else 0.0
    return bucket.share * max(min(high, bucket.high) - max(low, bucket.low), 0.0) / width

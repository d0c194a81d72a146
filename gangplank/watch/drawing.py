"""Charts in characters, by plotext."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import plotext
from rich.text import Text

from gangplank import words
from gangplank.history.track import Point
from gangplank.watch.charts import Chart
from gangplank.watch.heatmap import Heatmap
from gangplank.watch.shading import newest, shade

_FINE = "braille"
_APART = (_FINE, "•", "+", "x")
"""What tells lines apart without colours: coarse, and where two meet one hides the other."""
_COLORS = (6, 3, 5, 2)
"""Cyan, yellow, magenta and green, of the sixteen that a terminal has at least."""

_LEAST_WIDTH, _LEAST_HEIGHT = 24, 5
_POINTS_A_COLUMN = 4
_SMALLEST, _LARGEST, _LEAST_SPAN = 1e-100, 1e100, 1e-12
"""Beyond these a chart's own arithmetic fails."""


def draw(chart: Chart | Heatmap, width: int, height: int, *, has_colors: bool = True) -> Text:
    """Return a chart, its legend above it; the legend alone where there is no more room.

    Args:
        chart: What to draw.
        width: Columns.
        height: Rows.
        has_colors: Lines are told apart by their colours; else by their marks.
    """
    marks = (_FINE,) * len(_COLORS) if has_colors else _APART
    legend = _legend(chart, marks) if isinstance(chart, Chart) else _legend_of_heatmap(chart)
    legend.truncate(width, overflow="ellipsis")
    if width < _LEAST_WIDTH or height < _LEAST_HEIGHT:
        return legend
    if isinstance(chart, Chart):
        drawn = Text.from_ansi(_plot(chart, marks, width, height - 1), no_wrap=True)
    else:
        drawn = shade(chart, width, height - 1)
    return Text("\n").join([legend, drawn])


def _legend_of_heatmap(heatmap: Heatmap) -> Text:
    text = Text(words.plain(heatmap.title), style="bold", no_wrap=True)
    return text.append(f"  {newest(heatmap)}; the darker, the more", style="not bold")


def _legend(chart: Chart, marks: Sequence[str]) -> Text:
    text = Text(words.plain(chart.title), style="bold", no_wrap=True)
    for line, mark, color in zip(chart.lines, marks, _COLORS, strict=False):
        text.append("  ")
        text.append("⠒⠒" if mark == _FINE else mark * 2, style=f"not bold color({color})")
        name = "" if line.name == chart.title else f" {words.plain(line.name)}"
        text.append(f"{name} {line.newest}", style="not bold")
    return text


def _plot(chart: Chart, marks: Sequence[str], width: int, height: int) -> str:
    parts = [list(_unbroken(line.points)) for line in chart.lines]
    points = [point for line in parts for part in line for point in part]
    begin, end = min(time for time, _ in points), max(time for time, _ in points)
    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.plotsize(width, height)
    for paint in (plotext.canvas_color, plotext.axes_color, plotext.ticks_color):
        paint("default")
    for line, mark, color in zip(parts, marks, _COLORS, strict=False):
        for part in line:
            thinned = _thinned(part, width)
            times = [time - begin for time, _ in thinned]
            plotext.plot(times, [value for _, value in thinned], marker=mark, color=color)
    values = [value for _, value in points]
    _set_values(min([0.0, *values] if chart.from_zero else values), max(values), height)
    _set_times(begin, end)
    return str(plotext.build()).rstrip("\n")


def _set_values(low: float, high: float, height: int) -> None:
    size = max(abs(low), abs(high))
    if high - low < max(size * _LEAST_SPAN, _SMALLEST):
        low, high = (low - size / 2, high + size / 2) if size > _SMALLEST else (0.0, 1.0)
    plotext.ylim(low, high)
    count = max(2, min(5, height // 3))
    ticks = [low + (high - low) * index / (count - 1) for index in range(count)]
    plotext.yticks(ticks, [f"{words.number(tick)} " for tick in ticks])


def _set_times(begin: float, end: float) -> None:
    length = (end - begin) or 1.0
    plotext.xlim(0, length)
    plotext.xticks([0, length / 2, length], [words.clock(begin + length * share) for share in (0, 0.5, 1)])


def _unbroken(points: list[Point]) -> Iterator[list[Point]]:
    """Yield the stretches of points that are numbers, as far as they can be calculated with."""
    part: list[Point] = []
    for time, value in [*points, (0.0, math.nan)]:
        if math.isfinite(value):
            part.append((time, max(-_LARGEST, min(value, _LARGEST))))
        elif part:
            yield part
            part = []


def _thinned(points: list[Point], width: int) -> list[Point]:
    """Return no more points than can be told apart: of those that fall together the least and the greatest."""
    size = math.ceil(2 * len(points) / (_POINTS_A_COLUMN * width))
    if size <= 1:
        return points
    together = [points[index : index + size] for index in range(0, len(points), size)]
    both = [{min(some, key=lambda one: one[1]), max(some, key=lambda one: one[1])} for some in together]
    return [*(point for some in both for point in sorted(some)), points[-1]]

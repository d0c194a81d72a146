"""Sliding windows without drift: what a detector that counts would say of them, and which threshold follows.

A stream is made of rows of the reference, so that columns depend on one another as they do there. It begins with an
empty window, as detectors do.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from gangplank.drift.calibration import Schedule, streams
from gangplank.drift.tables import Integers, Tables
from gangplank.errors import ConfigurationError

Singles = npt.NDArray[np.float32]
Statistic = Callable[[Singles, int], npt.NDArray[Any]]
"""Takes tables of windows and how many observations each has; returns a number per window."""

WINDOWS_FOLLOWING = 6
"""How many windows long a stream is after its first window is full."""
FEWEST_WINDOWS, WINDOWS_ADVISED = 8, 20
_TOGETHER = 1 << 15
"""Cells that are worked on at a time: they stay in a processor core's cache."""
_MOST_TOGETHER = 512
_OWN = 4096
"""Rows of a stream's own that it comes from, besides those of the reference."""
_ROUNDING = 1e-5
"""By what share statistics may differ that are the same."""

_log = logging.getLogger("gangplank.drift")


def check_size(references: int, window: int) -> None:
    """See that there is enough to compare with, and say so if it is little.

    Raises:
        ConfigurationError: the reference is too small.
    """
    if references < FEWEST_WINDOWS * window:
        raise ConfigurationError(
            f"reference must have at least {FEWEST_WINDOWS} times as many rows as the window, {window}, got "
            f"{references}; allowed is a window of at most {references // FEWEST_WINDOWS}"
        )
    if references < WINDOWS_ADVISED * window:
        _log.warning(
            "The reference has %d rows, %.1f times the window of %d: the time between false alarms may be far from "
            "the one asked for. At least %d times are advised.",
            *(references, references / window, window, WINDOWS_ADVISED),
        )


class Population:
    """Where several streams come from, each a place of its own, of which the reference could as well be a sample.

    That is the reference resampled (Efron, Bootstrap methods, Annals of Statistics 1979; Rubin, The Bayesian bootstrap,
    1981). A large one is made of the reference, and of so few rows of it that it varies as if all had been drawn.

    Args:
        numbered: The reference's rows.
        size: How many streams there are.
        random: Where chance comes from.
    """

    def __init__(self, numbered: Integers, size: int, random: np.random.Generator) -> None:
        self._numbered = numbered
        self._random = random
        own = min(len(numbered), _OWN)
        self._own = random.integers(len(numbered), size=(size, own))
        self._share = math.sqrt(own / len(numbered))
        self._drawn = 0

    def draw(self, rows: int) -> Integers:
        """Return the next so many rows of each stream, of the shape (streams, rows, columns)."""
        size, most = self._own.shape
        before, self._drawn = self._drawn, self._drawn + rows
        own = math.floor(self._share * self._drawn) - math.floor(self._share * before)
        drawn = self._random.integers(len(self._numbered), size=(size, rows))
        chosen = self._random.integers(most, size=(size, own))
        drawn[:, :own] = np.take_along_axis(self._own, chosen, axis=1)
        return self._numbered.take(drawn, axis=0)


class Simulation:
    """Windows of resampled rows.

    Args:
        tables: How rows are counted.
        cells: In which cell of its column each number of the reference lies.
        schedule: The detector's.
        random: Where chance comes from.
    """

    def __init__(self, tables: Tables, cells: Integers, schedule: Schedule, random: np.random.Generator) -> None:
        self._tables = tables
        self._numbered = tables.numbered(cells)
        self._schedule = schedule
        self._random = random
        self._strides = schedule.window // schedule.stride
        self._together = min(_MOST_TOGETHER, max(8, _TOGETHER // (tables.columns * tables.width)))

    def windows(self, number: int) -> Iterator[Singles]:
        """Yield tables of full windows, independent of one another."""
        for start in range(0, number, self._together):
            population = self._population(min(self._together, number - start))
            yield self._tables.of(population.draw(self._schedule.window)).astype(np.float32)

    def statistics(self, of: Statistic, first: int, n_streams: int | str) -> Singles:
        """Return the statistic after each stride of each stream, of the shape (streams, strides).

        Args:
            of: The statistic.
            first: After how many strides it is looked at for the first time; until then it is minus infinity.
            n_streams: How many streams, or ``"auto"``.
        """
        number = streams(self._schedule, WINDOWS_FOLLOWING * self._schedule.window, n_streams)
        steps = self._strides * (1 + WINDOWS_FOLLOWING)
        result = np.full((number, steps), -np.inf, np.float32)
        for start in range(0, number, self._together):
            part = result[start : start + self._together]
            for step, table in self._walk(len(part), steps):
                if step >= first:
                    part[:, step - 1] = of(table, min(step, self._strides) * self._schedule.stride)
        return result

    def _walk(self, size: int, steps: int) -> Iterator[tuple[int, Singles]]:
        population = self._population(size)
        ring = np.zeros((self._strides, size, *self._tables.shape), np.float32)
        table = np.zeros((size, *self._tables.shape), np.float32)
        for step in range(steps):
            leaving = ring[step % self._strides]
            table -= leaving
            leaving[...] = self._tables.of(population.draw(self._schedule.stride))
            table += leaving
            yield step + 1, table

    def _population(self, size: int) -> Population:
        return Population(self._numbered, size, self._random)


def threshold(statistics: Singles, schedule: Schedule) -> float:
    """Return the threshold with which a detector that begins empty runs for ``schedule.ert`` observations on average.

    Of few different rows, it is the one that comes closest to that.

    Args:
        statistics: What :meth:`Simulation.statistics` returned.
        schedule: The detector's.
    """
    running = np.maximum.accumulate(statistics, axis=1)
    cuts = _cuts(np.unique(running[:, -1]))
    low, high = 0, len(cuts) - 1
    while low < high:
        middle = (low + high) // 2
        if run_time(running, cuts[middle], schedule) < schedule.ert:
            low = middle + 1
        else:
            high = middle
    longest = float(schedule.stride * statistics.size)  # as good as for ever

    def error(cut: float) -> float:
        return abs(math.log(min(run_time(running, cut, schedule), longest) / schedule.ert))

    return min(cuts[max(low - 1, 0) : low + 1], key=error)


def _cuts(values: Singles) -> list[float]:
    """Return thresholds halfway between values that differ by more than rounding.

    Few different rows make few different statistics. Calibrated at one of them, a detector would alarm at it or not as
    rounding has it: it is simulated in single precision, and computed in double.
    """
    finite = values[np.isfinite(values)].astype(np.float64)
    cuts: list[float] = []
    begin = 0
    while begin < len(finite):
        same = _ROUNDING * (1 + abs(finite[begin]))
        begin = int(np.searchsorted(finite, finite[begin] + same, side="right"))
        last = finite[begin - 1]
        cuts.append(float((last + finite[begin]) / 2 if begin < len(finite) else last + same))
    return cuts or [_ROUNDING]


def run_time(running: Singles, threshold: float, schedule: Schedule) -> float:
    """Return after how many observations the statistic exceeds ``threshold``, on average.

    Streams end before most have done so. From the first full window on, each evaluation is taken to be as likely to
    be the first as every other.

    Args:
        running: The largest statistic so far, after each stride of each stream.
        threshold: What it must exceed.
        schedule: The detector's.
    """
    survive = np.count_nonzero(running <= threshold, axis=0) / len(running)
    full, last = float(survive[schedule.window // schedule.stride - 1]), float(survive[-1])
    evaluations = running.shape[1] - schedule.window // schedule.stride
    if full == last:
        return math.inf if last else schedule.stride * (1 + float(survive.sum()))
    hazard: float = 1 - (last / full) ** (1 / evaluations)
    return schedule.stride * (1 + float(survive[:-1].sum()) + last / hazard)

"""The statistic of streams without drift, simulated with the reference, from which MMD's threshold comes."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from gangplank.drift import calibration
from gangplank.drift.calibration import Schedule
from gangplank.drift.mmd_cells import Cells
from gangplank.drift.mmd_kernel import BLOCK, Floats, Points, left, right, sums

Indices = npt.NDArray[np.intp]
Sampling = Literal["iid", "blocks"]

WINDOWS = 4
"""Windows in a stream: one to begin with, one to burn in, and two to be seen alarming or not."""
_TOGETHER = 64
_MOST_THREADS = 4
_PER_STREAM = 8


class Reference(NamedTuple):
    """Points that a window is compared with.

    Attributes:
        points: The points, in their order of arrival.
        sums: Each point's similarities with all of them, itself included.
    """

    points: Points
    sums: Floats

    @classmethod
    def of(cls, points: Points) -> Reference:
        """Return a reference of these points."""
        return cls(points, sums(left(points), right(points)))

    def state(self) -> dict[str, Any]:
        """Return both by their names."""
        return self._asdict()

    def spread(self, held_out: Indices, within: Floats) -> Floats:
        """Return the mean similarity between the points that are left when some are held out.

        Args:
            held_out: Which those are, in the last dimension; several such draws in the others.
            within: The sum of similarities among those held out, themselves included.
        """
        number = len(self.points) - held_out.shape[-1]
        among = self.sums.sum() - 2 * self.sums[held_out].sum(axis=-1) + within
        spread: Floats = (among - number) / (number * (number - 1))
        return spread


class Streams:
    """Streams of points drawn from a reference without replacement; the rest of it is what they are compared with.

    Args:
        reference: Where to draw from.
        schedule: The detector's.
        sampling: ``"iid"`` for single points, ``"blocks"`` for windows' worths that arrived one after another.
    """

    def __init__(self, reference: Reference, schedule: Schedule, sampling: Sampling) -> None:
        self._reference = reference
        self._schedule = schedule
        self._sampling = sampling
        self._cells = Cells(schedule, WINDOWS)
        self._burnt_in = 1 + schedule.window // schedule.stride
        self._together = max(1, BLOCK * _PER_STREAM // self._cells.length**2)

    def draw(self, rng: np.random.Generator) -> Indices:
        """Return which points of the reference make a stream, in their order."""
        number, window, length = len(self._reference.points), self._schedule.window, self._cells.length
        if self._sampling == "iid":
            return rng.choice(number, length, replace=False)
        offset = rng.integers(window)
        blocks = rng.choice((number - offset) // window, WINDOWS, replace=False)
        indices: Indices = (offset + blocks[:, None] * window + np.arange(window)).ravel()[:length]
        return indices

    def calibrate(self, number: int, rng: np.random.Generator) -> tuple[float, Floats]:
        """Return the threshold, and the statistic's quantiles, from so many streams."""
        shares = [min(_TOGETHER, number - begin) for begin in range(0, number, _TOGETHER)]
        with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as threads:
            parts = list(threads.map(self._simulate, shares, rng.spawn(len(shares))))
        burn_in, both, some = (np.concatenate(part) for part in zip(*parts, strict=True))
        return self._threshold(burn_in, both), calibration.quantiles(some)

    def _threshold(self, burn_in: Floats, both: Floats) -> float:
        """Return the threshold with which the mean run time is right, though it is likelier to end soon.

        A window that was just drawn and is below the threshold may be so by little; one that has long been is not.
        """
        evaluations = self._cells.evaluations - self._burnt_in
        per_alarm = self._schedule.per_alarm
        steady = calibration.threshold(burn_in[:, -1], both, evaluations, per_alarm)
        surviving = (burn_in[burn_in[:, 0] <= steady] <= steady).mean(axis=0)
        mean = surviving[:-1].sum() + surviving[-1] * per_alarm
        return calibration.threshold(burn_in[:, -1], both, evaluations, per_alarm**2 / mean)

    def _simulate(self, number: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        """Return each stream's largest statistic up to each evaluation of the burn-in, and in all; and some others."""
        drawn = np.array([self.draw(rng) for _ in range(number)])
        parts = [self.statistics(drawn[begin : begin + self._together]) for begin in range(0, number, self._together)]
        statistics = np.concatenate(parts)
        after = statistics[:, self._burnt_in :]
        return (
            np.maximum.accumulate(statistics[:, : self._burnt_in], axis=1),
            statistics.max(axis=1),
            after[:, :: math.ceil(after.shape[1] / _PER_STREAM)],
        )

    def statistics(self, drawn: Indices) -> Floats:
        """Return the statistic at each evaluation of each stream, the window that it begins with included."""
        reference, window = self._reference, self._schedule.window
        similarities = self._cells.similarities(reference.points[drawn])
        within = similarities.sum(axis=2)
        to_rest = self._cells.totals(reference.sums[drawn]) - within
        mean = self._cells.of_windows(to_rest) / (len(reference.points) - self._cells.length)
        pairs = self._cells.within_windows(similarities) - window
        spread = reference.spread(drawn, within.sum(axis=1))
        statistics: Floats = spread[:, None] + pairs / (window * (window - 1)) - 2 / window * mean
        return statistics


def thinned(rows: Floats, most: int, window: int, sampling: Sampling, rng: np.random.Generator) -> Floats:
    """Return at most so many rows, in their order; of blocks, windows' worths that arrived one after another."""
    if len(rows) <= most:
        return rows
    if sampling == "iid":
        return rows[np.sort(rng.choice(len(rows), most, replace=False))]
    blocks = np.sort(rng.choice(len(rows) // window, max(1, most // window), replace=False))
    kept: Floats = rows[(blocks[:, None] * window + np.arange(window)).ravel()]
    return kept

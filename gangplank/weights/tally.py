"""Pieces of weights to one summary: the arithmetic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from gangplank.distribution import Distribution
from gangplank.weights.summary import Update, WeightSummary

_SMALL = 1 << 10
"""Up to so many values, sorting them is faster than to compare them with each bound."""
_ROW = 1 << 10
"""So many squares are summed in their own precision, the sums in double."""
_SQUARES_FIT = (1e-15, 1e15)
"""Magnitudes whose squares float32 holds, neither as 0 nor as infinity."""

_Floats = npt.NDArray[np.floating[Any]]


class Tally:
    """What has been found in the pieces so far.

    Args:
        bounds: The bucket bounds.
        longest: How many values a piece has at the most.
        compares: Whether the pieces are compared with earlier ones.
    """

    def __init__(self, bounds: tuple[float, ...], longest: int, *, compares: bool) -> None:
        self._bounds = bounds
        self._flags = np.empty(longest, np.bool_)
        self._scratch: dict[np.dtype[Any], _Floats] = {}
        self._longest = longest
        self._at_or_below = np.zeros(len(bounds), np.int64)
        self._numbers = self._nonfinite = 0
        self._least, self._greatest = math.inf, -math.inf
        self._total = self._squared_deviations = 0.0
        self._update = Update() if compares else None

    def add(self, values: _Floats, limits: _Floats) -> None:
        """Count a piece.

        Args:
            values: The piece, flat, not empty, float32 or float64.
            limits: The bounds in the same dtype, each rounded down.
        """
        with np.errstate(all="ignore"):  # what is no number, or beyond all numbers, says so itself
            least, greatest = values.min(), values.max()
            if not (np.isfinite(least) and np.isfinite(greatest)):
                self._nonfinite += values.size - int(np.count_nonzero(np.isfinite(values)))
                values = values[~np.isnan(values)]
                if not values.size:
                    return
                least, greatest = values.min(), values.max()
            self._count(values, limits, least, greatest)
            self._measure(values, max(-float(least), float(greatest)))
        self._least, self._greatest = min(self._least, float(least)), max(self._greatest, float(greatest))

    def add_update(self, values: _Floats, before: _Floats) -> None:
        """Compare a piece with the same weights earlier."""
        with np.errstate(all="ignore"):
            largest = float(max(np.abs(values).max(), np.abs(before).max()))
            if not _squares_fit(largest):
                values, before = values.astype(np.float64), before.astype(np.float64)
            moved = _squares(np.subtract(values, before, out=self._room(values)))
            self._update = (self._update or Update()) + Update(moved, _squares(before))

    def summary(self) -> WeightSummary:
        """Return what was found."""
        cumulative = (*map(int, self._at_or_below), self._numbers)
        extremes = (self._least, self._greatest) if self._numbers else (None, None)
        return WeightSummary(
            Distribution(self._bounds, cumulative, self._total, *extremes),
            self._nonfinite,
            self._squared_deviations,
            self._update,
        )

    def _count(self, values: _Floats, limits: _Floats, least: np.floating[Any], greatest: np.floating[Any]) -> None:
        first, last = limits.searchsorted(least), limits.searchsorted(greatest)
        # Of what lies between these two alone it takes a look at all values to know how many are at or below it.
        if values.size <= _SMALL:
            self._at_or_below[first:last] += np.sort(values).searchsorted(limits[first:last], side="right")
        else:
            flags = self._flags[: values.size]
            for index in range(first, last):
                np.less_equal(values, limits[index], out=flags)
                self._at_or_below[index] += np.count_nonzero(flags)
        self._at_or_below[last:] += values.size

    def _measure(self, values: _Floats, largest: float) -> None:
        if not _squares_fit(largest):
            values = values.astype(np.float64)
        total = float(values.sum(dtype=np.float64))
        mean = total / values.size
        rounded = values.dtype.type(mean)
        deviations = _squares(np.subtract(values, rounded, out=self._room(values)))
        rounding = float(rounded) - mean
        deviations -= values.size * (rounding * rounding)  # ** would raise where this is infinite
        if self._numbers:
            apart = mean - self._total / self._numbers
            deviations += apart * apart * (self._numbers * values.size / (self._numbers + values.size))
        self._squared_deviations += max(deviations, 0.0) if math.isfinite(deviations) else math.nan
        self._total += total
        self._numbers += values.size

    def _room(self, values: _Floats) -> _Floats:
        """Return room for as many values of that dtype."""
        if values.dtype not in self._scratch:
            self._scratch[values.dtype] = np.empty(self._longest, values.dtype)
        return self._scratch[values.dtype][: values.size]


def _squares_fit(largest: float) -> bool:
    return not largest or _SQUARES_FIT[0] < largest < _SQUARES_FIT[1]


def _squares(values: _Floats) -> float:
    """Return the sum of the squares."""
    whole = values.size - values.size % _ROW
    rows = values[:whole].reshape(-1, _ROW)
    rest = values[whole:]
    sums = np.einsum("ij,ij->i", rows, rows).sum(dtype=np.float64)
    return float(sums) + float(np.einsum("i,i->", rest, rest))

"""Pieces of weights to one summary: the arithmetic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from gangplank.distribution import Distribution
from gangplank.weights.summary import Update, WeightSummary

LONGEST = 1 << 17
"""Values in a piece, at the most: with float32, half a megabyte."""
_BOUNDS_AT_ONCE = 12
"""So many are compared with in one go. Another thread has the interpreter meanwhile."""
_LANES = 128
_ROW = 8 * _LANES
"""Eight flags are added up at a time, as bytes of one number, none of which overflows with 128 rows in a piece."""
_SQUARES_FIT = (1e-15, 1e15)
"""Magnitudes whose squares float32 holds, neither as 0 nor as infinity."""

_Array = npt.NDArray[Any]
_Floats = npt.NDArray[np.floating[Any]]


class Scratch:
    """What one thread needs for any number of tallies with the same bounds.

    Args:
        bounds: The bucket bounds.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.flags = np.empty((min(len(bounds), _BOUNDS_AT_ONCE), LONGEST), np.bool_)
        self._limits: dict[np.dtype[Any], _Floats] = {}
        self._rooms: dict[np.dtype[Any], _Floats] = {}

    def limits(self, dtype: np.dtype[Any]) -> _Floats:
        """Return the bounds in ``dtype``, each rounded down."""
        if dtype not in self._limits:
            self._limits[dtype] = rounded_down(self.bounds, dtype)
        return self._limits[dtype]

    def room(self, values: _Floats) -> _Floats:
        """Return room for as many values of that dtype."""
        if values.dtype not in self._rooms:
            self._rooms[values.dtype] = np.empty(LONGEST, values.dtype)
        return self._rooms[values.dtype][: values.size]


class Tally:
    """What has been found in the pieces so far.

    Args:
        scratch: Of this thread.
        compares: Whether the pieces are compared with earlier ones.
    """

    def __init__(self, scratch: Scratch, *, compares: bool) -> None:
        self._scratch = scratch
        self._at_or_below = np.zeros(len(scratch.bounds), np.int64)
        self._numbers = self._nonfinite = 0
        self._least, self._greatest = math.inf, -math.inf
        self._total = self._squared_deviations = 0.0
        self._update = Update() if compares else None

    def add(self, piece: _Array, before: _Array | None) -> None:
        """Count a piece, with NumPy's warnings off: what is no number, or beyond all numbers, says so itself.

        Args:
            piece: Flat, not empty.
            before: The same weights earlier, to be compared with and overwritten.
        """
        values = _exact(piece)
        if self._update is not None and before is not None:
            self._update += self._compared(values, _exact(before))
            before[...] = piece
        least, greatest = float(values.min()), float(values.max())
        if not (math.isfinite(least) and math.isfinite(greatest)):
            self._nonfinite += values.size - int(np.count_nonzero(np.isfinite(values)))
            values = values[~np.isnan(values)]
            if not values.size:
                return
            least, greatest = float(values.min()), float(values.max())
        self._count(values, least, greatest)
        self._measure(values, max(-least, greatest))
        self._least, self._greatest = min(self._least, least), max(self._greatest, greatest)

    def summary(self) -> WeightSummary:
        """Return what was found."""
        cumulative = (*map(int, self._at_or_below), self._numbers)
        extremes = (self._least, self._greatest) if self._numbers else (None, None)
        return WeightSummary(
            Distribution(self._scratch.bounds, cumulative, self._total, *extremes),
            self._nonfinite,
            self._squared_deviations,
            self._update,
        )

    def _count(self, values: _Floats, least: float, greatest: float) -> None:
        limits = self._scratch.limits(values.dtype)
        first, last = int(limits.searchsorted(least)), int(limits.searchsorted(greatest))
        # Only of what lies between these two it takes a look at all values to know how many are at or below it.
        rows = values.size // _ROW
        whole, rest = values[: rows * _ROW], values[rows * _ROW :]
        for begin in range(first, last, _BOUNDS_AT_ONCE) if rows else ():
            end = min(begin + _BOUNDS_AT_ONCE, last)
            flags = self._scratch.flags[: end - begin, : whole.size]
            np.less_equal(whole, limits[begin:end, np.newaxis], out=flags)
            lanes = np.add.reduce(flags.view(np.uint64).reshape(end - begin, rows, _LANES), axis=1)
            self._at_or_below[begin:end] += np.add.reduce(lanes.view(np.uint8), axis=1, dtype=np.int64)
        if rest.size:  # sorting so few is faster than to compare them with each bound
            self._at_or_below[first:last] += np.sort(rest).searchsorted(limits[first:last], side="right")
        self._at_or_below[last:] += values.size

    def _measure(self, values: _Floats, largest: float) -> None:
        if not _squares_fit(largest):
            values = values.astype(np.float64)
        total = float(values.sum(dtype=np.float64))
        mean = total / values.size
        deviations = self._deviations(values, mean)
        if self._numbers:
            apart = mean - self._total / self._numbers
            deviations += apart * apart * (self._numbers * values.size / (self._numbers + values.size))
        self._squared_deviations += deviations if math.isfinite(deviations) else math.nan
        self._total += total
        self._numbers += values.size

    def _deviations(self, values: _Floats, mean: float) -> float:
        """Return the sum of the squared deviations from the mean."""
        # No ** with a float: it raises where the result is infinite.
        squares, of_mean = _squares(values), values.size * (mean * mean)
        if of_mean <= squares / 2:
            return squares - of_mean
        # The difference would be what rounding has left of it.
        rounded = values.dtype.type(mean)
        rounding = float(rounded) - mean
        deviations = _squares(np.subtract(values, rounded, out=self._scratch.room(values)))
        return max(deviations - values.size * (rounding * rounding), 0.0) if math.isfinite(deviations) else math.nan

    def _compared(self, values: _Floats, before: _Floats) -> Update:
        if not _squares_fit(float(max(np.abs(values).max(), np.abs(before).max()))):
            values, before = values.astype(np.float64), before.astype(np.float64)
        return Update(_squares(np.subtract(values, before, out=self._scratch.room(values))), _squares(before))


def rounded_down(bounds: tuple[float, ...], dtype: np.dtype[Any]) -> _Floats:
    """Return for each bound the largest value of ``dtype`` that is not above it.

    Comparing with that is the same as comparing in double precision; comparing float32 values with a bound rounded
    to float32 is not: 0.1 rounds up, and would take in a weight just above 0.1.
    """
    exact = np.asarray(bounds, dtype=np.float64)
    with np.errstate(over="ignore"):  # a bound beyond float32 becomes infinite, and is stepped back where it is above
        rounded = exact.astype(dtype)
        below = np.nextafter(rounded, dtype.type(-np.inf))
    return np.where(rounded.astype(np.float64) > exact, below, rounded)


def _exact(piece: _Array) -> _Floats:
    """Return a piece in float32 or float64, whichever holds its values exactly."""
    # bfloat16, the float8 and the int4 types come from ml_dtypes with at most two bytes.
    is_small = piece.dtype == np.float32 or piece.dtype.itemsize <= np.dtype(np.float16).itemsize
    exact: _Floats = piece.astype(np.float32 if is_small else np.float64, copy=False)
    return exact


def _squares_fit(largest: float) -> bool:
    return not largest or _SQUARES_FIT[0] < largest < _SQUARES_FIT[1]


def _squares(values: _Floats) -> float:
    """Return the sum of the squares."""
    whole = values.size - values.size % _ROW
    rows = values[:whole].reshape(-1, _ROW)
    rest = values[whole:]
    sums = float(np.einsum("ij,ij->i", rows, rows).sum(dtype=np.float64)) if whole else 0.0
    return sums + float(np.einsum("i,i->", rest, rest)) if rest.size else sums

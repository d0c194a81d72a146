"""Arrays of weights to one distribution: bucket counts, sum, and the number of values that are no number.

Knows NumPy, knows no framework. Arrays are read where they lie, in pieces that fit a processor's cache, so that the
extra memory is the same for a model of any size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gangplank.distribution import Distribution

HISTOGRAM_WEIGHT_BUCKETS_1_0 = [step / 10 for step in range(-10, 11)]
"""Bounds from -1.0 to 1.0 by 0.1."""
HISTOGRAM_WEIGHT_BUCKETS_0_3 = [step / 20 for step in range(-6, 7)]
"""Bounds from -0.30 to 0.30 by 0.05."""

_PIECE = 1 << 17
"""Values looked at at a time: with float32, half a megabyte."""


@dataclass(frozen=True, slots=True)
class WeightSummary:
    """What :func:`summarize` found.

    Attributes:
        distribution: Buckets, count and sum. An infinite weight counts in the outermost bucket on its side and in
            the sum; NaN counts nowhere here.
        nonfinite: The number of weights that are NaN or infinite.
    """

    distribution: Distribution
    nonfinite: int


def summarize(arrays: Iterable[npt.NDArray[Any]], bounds: tuple[float, ...]) -> WeightSummary:
    """Sort the values of ``arrays`` into buckets.

    Args:
        arrays: Arrays of any shape and real dtype; float16 and bfloat16 included.
        bounds: Upper-inclusive bucket bounds, strictly increasing, finite. A value equal to a bound, compared
            exactly as a real number, belongs to that bound's bucket.

    Returns:
        Exact counts, and the sum in double precision.
    """
    at_or_below = np.zeros(len(bounds), dtype=np.int64)
    numbers = nonfinite = 0
    total = 0.0
    for piece in _pieces(arrays):
        limits = _limits(bounds, piece.dtype)
        at_or_below += [np.count_nonzero(piece <= limit) for limit in limits]
        finite = int(np.count_nonzero(np.isfinite(piece)))
        nonfinite += piece.size - finite
        if finite < piece.size:
            piece = piece[~np.isnan(piece)]  # noqa: PLW2901 - the rest of the loop is about numbers alone
        numbers += piece.size
        with np.errstate(invalid="ignore", over="ignore"):  # a sum that is no number, or beyond them, says so
            total += float(piece.sum(dtype=np.float64))
    return WeightSummary(Distribution(bounds, (*map(int, at_or_below), numbers), total), nonfinite)


def _pieces(arrays: Iterable[npt.NDArray[Any]]) -> Iterator[npt.NDArray[Any]]:
    """Yield flat pieces in float32 or float64, whichever holds the array's values exactly."""
    for array in arrays:
        flat = array.reshape(-1)  # a view, unless the array is not contiguous
        exact = np.float32 if _fits_float32(flat.dtype) else np.float64
        for start in range(0, flat.size, _PIECE):
            yield flat[start : start + _PIECE].astype(exact, copy=False)


def _fits_float32(dtype: np.dtype[Any]) -> bool:
    # bfloat16 and the float8 types come from ml_dtypes with kind "V" or "f" and at most two bytes.
    return dtype == np.float32 or dtype.itemsize <= np.dtype(np.float16).itemsize


def _limits(bounds: tuple[float, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return for each bound the largest value of ``dtype`` that is not above it.

    Comparing with that is the same as comparing in double precision; comparing float32 values with a bound rounded
    to float32 is not: 0.1 rounds up, and would take in a weight just above 0.1.
    """
    exact = np.asarray(bounds, dtype=np.float64)
    with np.errstate(over="ignore"):  # a bound beyond float32 becomes infinite, and is stepped back where it is above
        rounded = exact.astype(dtype)
        below = np.nextafter(rounded, dtype.type(-np.inf))
    return np.where(rounded.astype(np.float64) > exact, below, rounded)

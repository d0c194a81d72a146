"""Arrays of weights to one summary, in one pass over memory.

Arrays are read where they lie, in pieces that fit a processor core's cache, on several cores. The extra memory is the
same for a model of any size.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import numpy.typing as npt

from gangplank.weights.summary import WeightSummary
from gangplank.weights.tally import Tally

_PIECE = 1 << 17
"""Values looked at at a time: with float32, half a megabyte."""
_WORTH_A_THREAD = 4 * _PIECE
_MOST_THREADS = 4
"""More do not help: by then the memory is what is waited for."""

_Array = npt.NDArray[Any]
_Piece = tuple[_Array, _Array | None]


def summarize_weights(
    arrays: Iterable[npt.NDArray[Any]],
    bounds: tuple[float, ...],
    *,
    before: Sequence[npt.NDArray[Any]] | None = None,
    threads: int | None = None,
) -> WeightSummary:
    """Sort the values of ``arrays`` into buckets, and say how large they are.

    Args:
        arrays: Arrays of any shape and real dtype; float16 and bfloat16 included.
        bounds: Upper-inclusive bucket bounds, strictly increasing, finite. A value equal to a bound, compared
            exactly as a real number, belongs to that bound's bucket.
        before: What :func:`flat_copy` made of each array earlier, to be compared with. They are overwritten with the
            present values.
        threads: How many to use at the most; by default as many as there are processor cores, up to four.

    Returns:
        Exact counts, sum and mean in double precision, the squares with the precision of the arrays, summed in double.

    Raises:
        TypeError: an array does not hold real numbers.
    """
    pieces = list(_pieces(arrays, before))
    # A thread must have something to do that takes longer than to start it.
    worth = 1 + sum(piece.size for piece, _ in pieces) // _WORTH_A_THREAD
    threads = min(threads or min(_cores(), _MOST_THREADS), worth)
    compares = before is not None
    if threads == 1:
        return _tallied(pieces, bounds, compares=compares).summary()
    with ThreadPoolExecutor(threads, thread_name_prefix="gangplank-weights") as pool:
        tallies = [pool.submit(_tallied, pieces, bounds, compares=compares) for _ in range(threads)]
    return reduce(add, (tally.result().summary() for tally in tallies))


def largest_magnitude(arrays: Iterable[npt.NDArray[Any]]) -> float:
    """Return the largest magnitude among the values, or NaN if one of them is; 0 of none."""
    largest = 0.0
    for piece, _ in _pieces(arrays, None):
        with np.errstate(invalid="ignore"):
            largest = float(np.maximum(largest, np.maximum(-float(piece.min()), float(piece.max()))))
    return largest


def flat_copy(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a copy of an array, flat, in the order in which it lies in memory."""
    return array.flatten(order="K")


def rounded_down(bounds: tuple[float, ...], dtype: np.dtype[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """Return for each bound the largest value of ``dtype`` that is not above it.

    Comparing with that is the same as comparing in double precision; comparing float32 values with a bound rounded
    to float32 is not: 0.1 rounds up, and would take in a weight just above 0.1.
    """
    exact = np.asarray(bounds, dtype=np.float64)
    with np.errstate(over="ignore"):  # a bound beyond float32 becomes infinite, and is stepped back where it is above
        rounded = exact.astype(dtype)
        below = np.nextafter(rounded, dtype.type(-np.inf))
    return np.where(rounded.astype(np.float64) > exact, below, rounded)


def _tallied(pieces: list[_Piece], bounds: tuple[float, ...], *, compares: bool) -> Tally:
    """Tally pieces until there are no more; several threads can do so with one list."""
    tally = Tally(bounds, _PIECE, compares=compares)
    known: dict[np.dtype[Any], npt.NDArray[Any]] = {}
    while True:
        try:
            piece, before = pieces.pop()
        except IndexError:
            return tally
        values: npt.NDArray[np.floating[Any]] = piece.astype(_exact(piece.dtype), copy=False)
        if values.dtype not in known:
            known[values.dtype] = rounded_down(bounds, values.dtype)
        tally.add(values, known[values.dtype])
        if before is not None:
            tally.add_update(values, before.astype(values.dtype, copy=False))
            before[...] = piece


def _pieces(arrays: Iterable[_Array], before: Sequence[_Array] | None) -> Iterable[_Piece]:
    """Yield flat pieces, none of them empty, each with its piece of ``before``."""
    for number, array in enumerate(arrays):
        _exact(array.dtype)
        flat = array.ravel(order="K")  # a view, unless the array has gaps
        for start in range(0, flat.size, _PIECE):
            stop = start + _PIECE
            yield flat[start:stop], None if before is None else before[number][start:stop]


def _exact(dtype: np.dtype[Any]) -> type[np.float32 | np.float64]:
    """Return float32 or float64, whichever holds the values of ``dtype`` exactly.

    Raises:
        TypeError: neither does.
    """
    if dtype.kind not in "biufV":
        raise TypeError(f"weights must be real numbers, not {dtype}")
    # bfloat16, the float8 and the int4 types come from ml_dtypes with kind "V" or "f" and at most two bytes.
    small = dtype == np.float32 or dtype.itemsize <= np.dtype(np.float16).itemsize
    return np.float32 if small else np.float64


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1

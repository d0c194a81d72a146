"""Arrays of weights to summaries, in one pass over memory.

Arrays are read where they lie, in pieces that fit a processor core's cache, on several cores. The extra memory is the
same for a model of any size.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gangplank.weights.summary import WeightSummary
from gangplank.weights.tally import LONGEST, Scratch, Tally

_WORTH_A_THREAD = 1 << 19
"""Fewer values are read before another thread has begun."""
_WORTH_SHARING = 1 << 14
"""What is done with smaller arrays is too short for threads not to be in one another's way."""
_MOST_THREADS = 4
"""More do not help: by then the memory is what is waited for."""

_Array = npt.NDArray[Any]


class Part(NamedTuple):
    """Weights of a layer.

    Attributes:
        layer: The layer's name.
        weights: An array of any shape and real dtype.
        before: What :func:`flat_copy` made of it earlier, to be compared with; it is overwritten with what it is now.
    """

    layer: str
    weights: _Array
    before: _Array | None = None


def summarize_weights(
    arrays: Iterable[npt.NDArray[Any]],
    bounds: tuple[float, ...],
    *,
    before: Sequence[npt.NDArray[Any]] | None = None,
    threads: int | None = None,
) -> WeightSummary:
    """Sort the values of ``arrays`` into buckets, and say how large they are.

    Args:
        arrays: Arrays of any shape and real dtype, float16 and bfloat16 included; 64-bit integers count as doubles.
        bounds: Upper-inclusive bucket bounds, strictly increasing, finite. A value equal to a bound, compared
            exactly as a real number, belongs to that bound's bucket.
        before: What :func:`gangplank.weights.counting.flat_copy` made of each array earlier, to be compared with. They
            are overwritten with the present values.
        threads: How many to use at the most; by default as many as there are processor cores, up to four.

    Returns:
        Exact counts, sum and mean in double precision, the squares with the precision of the arrays, summed in double.

    Raises:
        TypeError: an array does not hold real numbers.
        ValueError: what is compared differs in size.
    """
    arrays = list(arrays)
    kept: Sequence[_Array | None] = [None] * len(arrays) if before is None else before
    parts = [Part("", weights, earlier) for weights, earlier in zip(arrays, kept, strict=True)]
    return summarize_layers(parts, bounds, threads=threads).get("") or Tally(Scratch(bounds), compares=False).summary()


def summarize_layers(
    parts: list[Part], bounds: tuple[float, ...], *, threads: int | None = None
) -> dict[str, WeightSummary]:
    """Return the summary of each layer, in the order in which they come.

    Args:
        parts: The weights. The list is emptied: each array is let go of as soon as it has been read.
        bounds: As for :func:`summarize_weights`.
        threads: As there.

    Raises:
        TypeError: an array does not hold real numbers.
        ValueError: what is compared differs in size.
    """
    _check(parts)
    compared = {layer: True for layer, _, _ in parts}
    for layer, _, before in parts:
        compared[layer] &= before is not None
    sizes = (part.weights.size for part in parts)
    worth = 1 + sum(size for size in sizes if size >= _WORTH_SHARING) // _WORTH_A_THREAD
    pieces = _Pieces(parts)

    def tallied() -> dict[str, Tally]:
        scratch, tallies = Scratch(bounds), dict[str, Tally]()
        with np.errstate(all="ignore"):
            for layer, values, before in pieces:
                if layer not in tallies:
                    tallies[layer] = Tally(scratch, compares=compared[layer])
                tallies[layer].add(values, before if compared[layer] else None)
        return tallies

    found = _side_by_side(tallied, min(threads or min(_cores(), _MOST_THREADS), worth))
    nothing = Scratch(bounds)
    return {
        layer: reduce(add, summaries)
        if (summaries := [tallies[layer].summary() for tallies in found if layer in tallies])
        else Tally(nothing, compares=is_compared).summary()
        for layer, is_compared in compared.items()
    }


def largest_magnitude(arrays: Iterable[npt.NDArray[Any]]) -> float:
    """Return the largest finite magnitude among the values, 0 of none."""
    largest = 0.0
    for _, values, _ in _Pieces([Part("", array) for array in arrays]):
        with np.errstate(invalid="ignore"):
            extremes = float(values.min()), float(values.max())
        if not all(map(math.isfinite, extremes)):
            numbers = values[np.isfinite(values)]
            extremes = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 0.0)
        largest = max(largest, -extremes[0], extremes[1])
    return largest


def flat_copy(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a copy of an array, flat, in the order in which its pieces are read."""
    return array.flatten(order="K" if array.flags.forc else "C")


class _Pieces:
    """Pieces of arrays, none of them empty, for several threads that iterate at once."""

    def __init__(self, parts: list[Part]) -> None:
        self._lock = threading.Lock()
        self._parts = deque(parts)
        parts.clear()
        self._cut = self._pieces()

    def __iter__(self) -> Iterator[Part]:
        return self

    def __next__(self) -> Part:
        with self._lock:
            return next(self._cut)

    def _pieces(self) -> Iterator[Part]:
        while self._parts:
            layer, weights, before = self._parts.popleft()
            # In the order of memory that is a view; an array with gaps is copied piece by piece.
            flat: Any = weights.ravel(order="K") if weights.flags.forc else weights.flat
            for start in range(0, weights.size, LONGEST):
                stop = start + LONGEST
                yield Part(layer, flat[start:stop], None if before is None else before[start:stop])


def _check(parts: list[Part]) -> None:
    for _, weights, before in parts:
        if not np.can_cast(weights.dtype, np.float64, "same_kind"):  # also bfloat16 can be
            raise TypeError(f"weights must be real numbers, not {weights.dtype}")
        if before is not None and before.shape != (weights.size,):
            raise ValueError(f"before must have the shape ({weights.size},), as flat_copy has it, got {before.shape}")


def _side_by_side(work: Any, threads: int) -> list[dict[str, Tally]]:  # noqa: ANN401
    """Call ``work`` on so many threads, this one among them, and return what each returned.

    A pool would refuse when the interpreter is ending, as it does while a training thread finishes alone.
    """
    found: list[dict[str, Tally]] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:  # noqa: BLE001 - raised below, on the caller's thread
            errors.append(error)

    others: list[threading.Thread] = []
    for _ in range(threads - 1):
        thread = threading.Thread(target=run, name="gangplank-weights-helper", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads are to be had
            break
        others.append(thread)
    run()
    for thread in others:
        thread.join()
    if errors:
        raise errors[0]
    return found


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1

"""Weights on a device of their own: summarized there, so that only the counts travel.

Tensors are cut into pieces of one length, for which a compiler compiles once. Each piece becomes one short row of
numbers; the rows are added up here, in double precision.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import keras
import numpy as np

from gangplank.distribution import Distribution
from gangplank.weights.summary import Update, WeightSummary
from gangplank.weights.tally import rounded_down

_ops: Any = keras.ops

PIECE = 1 << 18
"""Values in a piece. Tensors that are shorter travel whole: that is faster."""
_LANE = 1 << 13
"""So many values are summed in single precision, the sums in double."""
_DTYPES = ("float32", "float16", "bfloat16", "int8")
"""What float32 holds exactly."""


class Pending(NamedTuple):
    """Rows of numbers that a device has, or will have, when it has come to it.

    Attributes:
        rows: One of each piece.
        bounds: The bucket bounds.
        is_update: Whether the pieces were compared with earlier ones.
    """

    rows: list[Any]
    bounds: tuple[float, ...]
    is_update: bool


def suits(tensor: Any) -> bool:  # noqa: ANN401 - Keras and its backends are untyped
    """Whether a tensor is worth to be summarized where it lies, and can be."""
    return keras.backend.standardize_dtype(tensor.dtype) in _DTYPES and math.prod(tensor.shape) >= PIECE


def begin(tensor: Any, bounds: tuple[float, ...], before: Any = None) -> Pending:  # noqa: ANN401
    """Have a device summarize a tensor; where it works asynchronously this does not wait for it.

    Args:
        tensor: A tensor that suits.
        bounds: As for :func:`gangplank.summarize_weights`.
        before: The same tensor earlier, to be compared with.
    """
    limits = tuple(rounded_down(bounds, np.dtype(np.float32)).tolist())
    flat = _ops.reshape(tensor, (-1,))
    flat_before = flat if before is None else _ops.reshape(before, (-1,))
    size = math.prod(tensor.shape)
    rows: list[Any] = []
    for start in range(0, size, PIECE):
        first = min(start, size - PIECE)  # the last piece reaches back into the one before, and passes over it
        piece, earlier = (_ops.slice(one, (first,), (PIECE,)) for one in (flat, flat_before))
        rows.append(_reduction()(piece, earlier, start - first, limits))
    return Pending(rows, bounds, is_update=before is not None)


def finish(pending: Pending) -> WeightSummary:
    """Return the summary, when the device has made it."""
    rows = np.stack([_ops.convert_to_numpy(row) for row in pending.rows]).astype(np.float64)
    width = len(pending.bounds)
    at_or_below = rows[:, :width].sum(0)
    numbers, finite, least, greatest, skipped = rows[:, width : width + 5].T
    counts, sums, deviations, updates, before = (part.ravel() for part in np.split(rows[:, width + 5 :], 5, axis=1))
    count, total = int(numbers.sum()), float(sums.sum())
    with np.errstate(invalid="ignore"):  # infinite weights leave the rest without a value
        means = sums / np.maximum(counts, 1)
        apart = np.where(counts > 0, counts * (means - total / max(count, 1)) ** 2, 0)
        squared_deviations = float(deviations.sum() + apart.sum())
    extremes = (float(least.min()), float(greatest.max())) if count else (None, None)
    return WeightSummary(
        Distribution(pending.bounds, (*map(int, at_or_below), count), total, *extremes),
        int(len(rows) * PIECE - skipped.sum() - finite.sum()),
        squared_deviations,
        Update(float(updates.sum()), float(before.sum())) if pending.is_update else None,
    )


def copy(tensor: Any) -> Any:  # noqa: ANN401
    """Return a copy on the same device, which no later step of the training uses up."""
    return _ops.copy(tensor)


@functools.cache
def _reduction() -> Callable[..., Any]:
    """Return :func:`_reduce`, compiled where single operations are slow."""
    if keras.backend.backend() == "jax":
        compiled: Callable[..., Any] = import_module("jax").jit(_reduce, static_argnums=3)
        return compiled
    return _reduce


def _reduce(piece: Any, before: Any, skipped: int, limits: tuple[float, ...]) -> Any:  # noqa: ANN401
    """Return a piece as a row of float32, which holds all counts exactly, the piece being short enough.

    They are the values at or below each limit; all that are numbers, all that are finite, the least and the greatest of
    them; how many of the first were skipped; and of each lane, how many numbers there are, their sum, squared
    deviations, squared differences from earlier, and the squares of these.
    """
    values, earlier = _ops.cast(piece, "float32"), _ops.cast(before, "float32")
    is_new = _ops.arange(PIECE, dtype="int32") >= skipped
    counted = _ops.logical_and(is_new, _ops.logical_not(_ops.isnan(values)))

    def number(flags: Any) -> Any:  # noqa: ANN401
        return _ops.sum(_ops.cast(_ops.logical_and(counted, flags), "float32"))

    def lanes(values: Any, flags: Any) -> Any:  # noqa: ANN401
        return _ops.sum(_ops.reshape(_ops.where(flags, values, _ops.zeros_like(values)), (-1, _LANE)), axis=1)

    ones = _ops.ones_like(values)
    counts, sums = lanes(ones, counted), lanes(values, counted)
    means = _ops.repeat(sums / _ops.maximum(counts, _ops.ones_like(counts)), _LANE)
    heads = [
        *(number(values <= limit) for limit in limits),
        number(counted),
        number(_ops.isfinite(values)),
        _ops.min(_ops.where(counted, values, ones * math.inf)),
        _ops.max(_ops.where(counted, values, ones * -math.inf)),
        _ops.cast(skipped, "float32"),
    ]
    squares = (lanes(_ops.square(values - means), counted), lanes(_ops.square(values - earlier), is_new))
    return _ops.concatenate([_ops.stack(heads), counts, sums, *squares, lanes(_ops.square(earlier), is_new)])

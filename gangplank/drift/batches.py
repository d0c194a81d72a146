"""Batches that wait to be looked at, and how several of them become one."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(slots=True)
class Batch:
    """What one prediction was given and returned.

    Attributes:
        x: The inputs; None if nobody looks at them.
        y: The predictions; None if nobody looks at them.
        samples: How many there are.
        size: Bytes that they take.
    """

    x: Any
    y: Any
    samples: int
    size: int


def alike(batches: Iterable[Batch]) -> Iterator[list[Batch]]:
    """Yield batches in their order, those together that follow one another and can be joined."""
    for _, group in itertools.groupby(batches, lambda batch: (_form(batch.x), _form(batch.y))):
        yield list(group)


def joined(batches: Sequence[Batch]) -> Batch:
    """Return one batch of several that are alike."""
    if len(batches) == 1:
        return batches[0]
    x, y = (_concatenated(values) for values in zip(*((batch.x, batch.y) for batch in batches), strict=True))
    return Batch(x, y, sum(batch.samples for batch in batches), sum(batch.size for batch in batches))


def _form(value: Any) -> Any:  # noqa: ANN401
    """Return what arrays have in common that can be joined; of anything else, what nothing else is equal to."""
    if value is None:
        return None
    return (value.dtype, value.shape[1:]) if isinstance(value, np.ndarray) and value.ndim else object()


def _concatenated(values: Sequence[Any]) -> Any:  # noqa: ANN401
    return None if values[0] is None else np.concatenate(values)

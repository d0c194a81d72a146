"""What a drift function is given: the inputs and outputs of a prediction, kept from what becomes of them afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import GeneratorType
from typing import Any

import keras
import numpy as np

from gangplank.drift.monitor import MOST_BYTES


def kept(value: Any) -> tuple[Any, int]:  # noqa: ANN401 - any nest of arrays
    """Return a copy of what can be written to, arrays in any nest, and the bytes that all of them take.

    What can be neither copied nor written to, such as a data set, stays what it is.
    """
    sizes: list[int] = []

    def keep(leaf: Any) -> Any:  # noqa: ANN401
        sizes.append(int(getattr(leaf, "nbytes", 0)))
        if isinstance(leaf, np.ndarray):
            return leaf.copy()
        # A PyTorch tensor; those of TensorFlow and JAX cannot be written to.
        return leaf.detach().clone() if hasattr(leaf, "detach") and hasattr(leaf, "clone") else leaf

    return keras.tree.map_structure(keep, value), sum(sizes)


class Recording:
    """The batches that are drawn from a generator, which can be drawn from but once.

    Args:
        generator: The generator.

    Attributes:
        generator: What to draw from instead.
    """

    def __init__(self, generator: Iterable[Any]) -> None:
        self.generator = self._draw(generator)
        self._drawn: list[Any] = []
        self._size = 0

    def batches(self) -> tuple[list[Any], int] | None:
        """Return what was drawn so far and the bytes that it takes, or None if that is too much to have been kept."""
        return None if self._size > MOST_BYTES else (list(self._drawn), self._size)

    def _draw(self, generator: Iterable[Any]) -> Iterator[Any]:
        for batch in generator:
            if self._size <= MOST_BYTES:
                copy, size = kept(batch)
                self._drawn.append(copy)
                self._size += size
            else:
                self._drawn.clear()
            yield batch


def recorded(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Recording | None, tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of ``predict`` with a generator among them replaced by one that is recorded."""
    x = args[0] if args else kwargs.get("x")
    if not isinstance(x, GeneratorType):
        return None, args, kwargs
    recording = Recording(x)
    if args:
        return recording, (recording.generator, *args[1:]), kwargs
    return recording, args, {**kwargs, "x": recording.generator}

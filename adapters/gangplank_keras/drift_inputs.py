"""What a drift function is given: the inputs and outputs of a prediction, kept from what becomes of them afterwards."""

from __future__ import annotations

import inspect
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


class Arguments:
    """What a prediction was called with.

    Args:
        name: What it calls its inputs.
        args: The positional arguments.
        kwargs: Those by keyword.

    Attributes:
        args: The positional arguments to call it with instead: a generator among them is recorded.
        kwargs: Those by keyword.
    """

    def __init__(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args = args
        self.kwargs = kwargs
        self._inputs = args[0] if args else kwargs.get(name)
        self._recording: Recording | None = None
        if isinstance(self._inputs, GeneratorType):
            self._recording = Recording(self._inputs)
            if args:
                self.args = (self._recording.generator, *args[1:])
            else:
                self.kwargs = {**kwargs, name: self._recording.generator}

    def inputs(self) -> Any:  # noqa: ANN401
        """Return the inputs as they were given."""
        return self._inputs if self._recording is None else (self._recording.batches() or (None,))[0]

    def kept(self) -> tuple[Any, int] | None:
        """Return a copy of the inputs and the bytes that it takes, or None if that is too much to have been kept."""
        return kept(self._inputs) if self._recording is None else self._recording.batches()


def name_of_inputs(predict: Any) -> str:  # noqa: ANN401
    """Return what a prediction calls its inputs: its first parameter."""
    try:
        return next(iter(inspect.signature(predict).parameters))
    except (TypeError, ValueError, StopIteration):
        return "x"

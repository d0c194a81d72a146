"""What a drift function is given: the inputs and outputs of a prediction, kept from what becomes of them afterwards."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from types import GeneratorType
from typing import Any

import keras
import numpy as np

from gangplank.drift.monitor import MOST_BYTES


def size_of(value: Any) -> int:  # noqa: ANN401 - any nest of arrays
    """Return the bytes that all arrays take, in any nest."""
    if isinstance(value, np.ndarray):  # what most predictions are; to ask Keras takes microseconds
        return value.nbytes
    return sum(int(getattr(leaf, "nbytes", 0)) for leaf in keras.tree.flatten(value))


def kept(value: Any) -> Any:  # noqa: ANN401
    """Return a copy of what can be written to, arrays in any nest.

    What can be neither copied nor written to, such as a data set, stays what it is.
    """
    return value.copy() if isinstance(value, np.ndarray) else keras.tree.map_structure(_kept, value)


def _kept(leaf: Any) -> Any:  # noqa: ANN401
    if isinstance(leaf, np.ndarray):
        return leaf.copy()
    # A PyTorch tensor; those of TensorFlow and JAX cannot be written to.
    return leaf.detach().clone() if hasattr(leaf, "detach") and hasattr(leaf, "clone") else leaf


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

    def batches(self) -> list[Any]:
        """Return what was drawn so far."""
        return list(self._drawn)

    def size(self) -> int | None:
        """Return the bytes that it takes, or None if that is too much to have been kept."""
        return None if self._size > MOST_BYTES else self._size

    def _draw(self, generator: Iterable[Any]) -> Iterator[Any]:
        for batch in generator:
            if self._size <= MOST_BYTES:
                self._drawn.append(kept(batch))
                self._size += size_of(batch)
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
        """Return the inputs as they were given; None if it is too much to have been kept."""
        if self._recording is None:
            return self._inputs
        return None if self._recording.size() is None else self._recording.batches()

    def size(self) -> int | None:
        """Return the bytes that the inputs take, or None if that is too much to have been kept."""
        return size_of(self._inputs) if self._recording is None else self._recording.size()

    def kept(self) -> Any:  # noqa: ANN401
        """Return a copy of the inputs."""
        return kept(self._inputs) if self._recording is None else self._recording.batches()


def name_of_inputs(predict: Any, before: int) -> str:  # noqa: ANN401
    """Return what a prediction calls its inputs: its first parameter, but for so many before it."""
    try:
        return list(inspect.signature(predict).parameters)[before]
    except (TypeError, ValueError, IndexError):
        return "x"

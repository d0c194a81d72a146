"""What went into a model and what came out of it, as far as telemetry wants to know: how much, and is it real.

Tensors that a compiler passes round while it traces (``tf.function``, ``jax.jit``, a functional model being built)
stand for values that are yet to come: no one is served by such a call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from numbers import Number
from typing import Any

import keras
import numpy as np

from gangplank.inference import TRACED

Size = Callable[[Any], int | None]
"""Returns the number of samples in an output; None, or a TypeError, if it has no batch axis."""


class Sizes(dict[type, Size]):
    """For every type of output, what returns the number of samples in one. A type is looked into once."""

    def __missing__(self, kind: type) -> Size:
        size = self[kind] = _size_of(kind)
        return size


SIZES = Sizes()


def is_trace(value: Any) -> bool:  # noqa: ANN401 - any nest of arguments
    """Whether a compiler's stand-in for a tensor is anywhere in ``value``, or TensorFlow is building a graph."""
    return _has_stand_in(value) or _builds_graph()


def _has_stand_in(value: Any) -> bool:  # noqa: ANN401
    if isinstance(value, Mapping):
        return any(map(_has_stand_in, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_has_stand_in, value))
    return _is_stand_in(type(value))


def _size_of(kind: type) -> Size:
    if _is_stand_in(kind):
        return _traced
    if issubclass(kind, Mapping):
        return _mapping_size
    if issubclass(kind, (list, tuple)):
        return _sequence_size
    if issubclass(kind, np.ndarray) or _is_tensor(kind):
        return len  # raises TypeError for a scalar
    return _shape_size


def _traced(_: Any) -> int:  # noqa: ANN401
    return TRACED


def _mapping_size(outputs: Any) -> int | None:  # noqa: ANN401
    return _first_size(outputs.values())


def _sequence_size(outputs: Any) -> int | None:  # noqa: ANN401
    if outputs and all(isinstance(output, Number) for output in outputs):
        return len(outputs)
    return _first_size(outputs)


def _first_size(outputs: Iterable[Any]) -> int | None:
    for output in outputs:
        try:
            size = SIZES[type(output)](output)
        except TypeError:
            size = None
        if size is not None:
            return size
    return None


def _shape_size(output: Any) -> int | None:  # noqa: ANN401
    if _builds_graph():
        return TRACED
    shape = getattr(output, "shape", None)
    size = shape[0] if shape is not None and len(shape) else None
    return None if size is None else int(size)


def _is_tensor(kind: type) -> bool:
    torch, jax, tensorflow = (sys.modules.get(name) for name in ("torch", "jax", "tensorflow"))
    return bool(
        (torch is not None and issubclass(kind, torch.Tensor))
        or (jax is not None and issubclass(kind, jax.Array))
        or (tensorflow is not None and issubclass(kind, tensorflow.Tensor))
    )


def _is_stand_in(kind: type) -> bool:
    """Whether values of that type stand for tensors that are yet to come.

    TensorFlow has no public name for the type that is real, nor PyTorch for those that are not.
    """
    if issubclass(kind, keras.KerasTensor):
        return True
    torch, jax, tensorflow = (sys.modules.get(name) for name in ("torch", "jax", "tensorflow"))
    if jax is not None and issubclass(kind, jax.core.Tracer):
        return True
    if torch is not None and kind.__module__.startswith(("torch._subclasses", "torch.fx")):
        return True
    return tensorflow is not None and issubclass(kind, tensorflow.Tensor) and kind.__name__ != "EagerTensor"


def _builds_graph() -> bool:
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and not tensorflow.executing_eagerly()

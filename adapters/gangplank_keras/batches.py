"""What went into a model and what came out of it, as far as telemetry wants to know: how much, and is it real.

Tensors that a compiler passes round while it traces (``tf.function``, ``jax.jit``, a functional model being built)
stand for values that are yet to come: no one is served by such a call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Number
from typing import Any

import keras
import numpy as np
from keras.src.backend.common.global_state import GLOBAL_STATE_TRACKER

from gangplank.inference import TRACED

Size = Callable[[Any], int | None]
"""Returns the number of samples in an output; None, or a TypeError, if it has no batch axis."""


class Sizes(dict[type, Size]):
    """For every type of output, what returns the number of samples in one. A type is looked into once."""

    def __missing__(self, kind: type) -> Size:
        size = self[kind] = self._size_of(kind)
        return size

    def _size_of(self, kind: type) -> Size:
        if _is_stand_in(kind):
            return _traced
        if issubclass(kind, Mapping):
            return lambda outputs: self._first(outputs.values())
        if issubclass(kind, (list, tuple)):
            return self._of_sequence
        if issubclass(kind, np.ndarray) or _is_tensor(kind):
            return len  # raises TypeError for a scalar
        return _shape_size

    def _of_sequence(self, outputs: Sequence[Any]) -> int | None:
        if outputs and all(isinstance(output, (Number, str, bytes)) for output in outputs):
            return len(outputs)
        return self._first(outputs)

    def _first(self, outputs: Iterable[Any]) -> int | None:
        for output in outputs:
            try:
                size = self[type(output)](output)
            except TypeError:
                size = None
            if size is not None:
                return size
        return None


class CallSizes(Sizes):
    """As ``Sizes``, where a backend finds shapes, or traces, with tensors that look like real ones.

    Args:
        is_pretending: Whether it is doing so, on this thread.
    """

    def __init__(self, is_pretending: Callable[[], bool]) -> None:
        super().__init__()
        self._is_pretending = is_pretending

    def _size_of(self, kind: type) -> Size:
        size, is_pretending = super()._size_of(kind), self._is_pretending
        is_own = keras.backend.backend() == "numpy" or not issubclass(kind, np.ndarray)
        if issubclass(kind, (Mapping, list, tuple)) or not is_own:
            return size  # a nest, whose tensors are asked themselves, or nothing that the backend works with
        return lambda output: TRACED if is_pretending() else size(output)


class StatelessSizes(Sizes):
    """For what ``stateless_call`` returns: the outputs, and behind them variables."""

    def _size_of(self, kind: type) -> Size:
        if issubclass(kind, tuple):
            return lambda returned: CALLS[type(returned[0])](returned[0])
        return super()._size_of(kind)


def is_trace(value: Any) -> bool:  # noqa: ANN401 - any nest of arguments
    """Whether a compiler's stand-in for a tensor is anywhere in ``value``, or TensorFlow is building a graph."""
    return _has_stand_in(value) or _builds_graph()


def is_tracing() -> bool:
    """Whether a compiler is tracing on this thread. On JAX it takes as long as a small call of a model."""
    jax = sys.modules.get("jax")
    if keras.backend.backend() == "jax" and jax is not None and isinstance(jax.numpy.zeros(()), jax.core.Tracer):
        return True
    return _PRETENDS.get(keras.backend.backend(), _in_symbolic_scope)() or _builds_graph()


# What keras.src's in_symbolic_scope() and in_stateless_scope() tell, at a tenth of their price.
def _in_symbolic_scope() -> bool:
    return GLOBAL_STATE_TRACKER.__dict__.get("symbolic_scope") is not None


def _in_scope() -> bool:
    scopes = GLOBAL_STATE_TRACKER.__dict__
    return scopes.get("symbolic_scope") is not None or scopes.get("stateless_scope") is not None


def _torch_pretends() -> bool:
    return _in_symbolic_scope() or bool(sys.modules["torch"].jit.is_tracing())


def _has_stand_in(value: Any) -> bool:  # noqa: ANN401
    if isinstance(value, Mapping):
        return any(map(_has_stand_in, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_has_stand_in, value))
    return _is_stand_in(type(value))


def _traced(_: Any) -> int:  # noqa: ANN401
    return TRACED


def _shape_size(output: Any) -> int | None:  # noqa: ANN401
    if _builds_graph():
        return TRACED
    shape = getattr(output, "shape", None)
    if shape is None or not len(shape):
        return None
    return TRACED if shape[0] is None else int(shape[0])


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


_PRETENDS: dict[str, Callable[[], bool]] = {
    "jax": _in_scope,
    "numpy": _in_symbolic_scope,
    "openvino": _in_scope,
    "torch": _torch_pretends,
}
PREDICTIONS = Sizes()
CALLS = CallSizes(_PRETENDS[keras.backend.backend()]) if keras.backend.backend() in _PRETENDS else Sizes()
STATELESS_CALLS = StatelessSizes()

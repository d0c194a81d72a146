"""What Keras knows, as plain numbers and arrays.

Everything here may wait for a device or copy from it: call it at the end of an epoch or a run, never of a batch.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

Logs = Mapping[str, Any] | None
"""What Keras hands to a hook."""

_logger = logging.getLogger("gangplank.keras")
_skipped: set[str] = set()


def numbers(logs: Logs) -> list[tuple[str, float]]:
    """Return the numbers in Keras's logs, in their order.

    Nested dicts are flattened, with ``/`` between the keys. Tensors and arrays of one element count as numbers;
    whatever else is none is left out.
    """
    return [(key, value) for key, value in _flat("", logs or {}) if value is not None]


def model_name(model: Any) -> str:  # noqa: ANN401 - Keras is untyped
    """Return the name under which the model is exported."""
    return str(getattr(model, "name", None) or type(model).__name__)


def parameter_count(model: Any) -> int | None:  # noqa: ANN401
    """Return the number of trainable and non-trainable weights, or None while the model is not built."""
    if not getattr(model, "built", False):
        return None
    return sum(int(math.prod(variable.shape)) for variable in model.weights)


def learning_rate(model: Any) -> float | None:  # noqa: ANN401
    """Return the optimizer's present learning rate, by its schedule if it has one, or None without an optimizer."""
    rate = getattr(getattr(model, "optimizer", None), "learning_rate", None)
    return None if rate is None else _number(rate)


def running_loss(model: Any) -> float | None:  # noqa: ANN401
    """Return the loss as it stands in the middle of an epoch, or None if there is none."""
    trackers = [tracker for tracker in model.metrics if tracker.name == "loss"]
    try:
        return _number(trackers[0].result()) if trackers else None
    except Exception:  # noqa: BLE001 - on JAX a call that failed can leave variables without a value
        return None


def _flat(prefix: str, logs: Mapping[Any, Any]) -> Iterator[tuple[str, float | None]]:
    for key, value in logs.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(f"{name}/", value)
            continue
        number = _number(value)
        if number is None and name not in _skipped:
            _skipped.add(name)
            _logger.info("the metric %r is not exported: %s is not one number", name, type(value).__name__)
        yield name, number


def _number(value: Any) -> float | None:  # noqa: ANN401
    try:
        if isinstance(value, Real):
            return float(value)
        shape = getattr(value, "shape", None)
        if shape is None or math.prod(shape) != 1:
            return None
        return float(_array(value).reshape(()))
    except (
        TypeError,
        ValueError,
        OverflowError,
    ):  # strings in an array, an integer beyond float, a ragged shape
        return None


def _array(value: Any) -> npt.NDArray[Any]:  # noqa: ANN401
    # A Variable's tensor: NumPy warns of the Variable's own conversion on JAX.
    tensor = value.value if isinstance(value, keras.Variable) else value
    return np.asarray(keras.ops.convert_to_numpy(tensor))

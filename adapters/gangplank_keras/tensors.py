"""Where Keras's variables keep their values, on each backend: in this process's memory, or on a device of its own.

Nothing here copies what can be looked at where it lies.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import keras
import ml_dtypes
import numpy as np
import numpy.typing as npt

_BACKEND: str = keras.backend.backend()

ARE_IMMUTABLE = _BACKEND == "jax"
"""Whether a training step makes new tensors, and leaves those alone that somebody holds."""


def of_variable(variable: Any) -> list[Any]:  # noqa: ANN401 - Keras and its backends are untyped
    """Return the tensors that make up a variable's value, each part of it once.

    Raises:
        ValueError: a part of it is in another process.
    """
    value = variable.value
    if _BACKEND == "jax":
        if not (value.is_fully_addressable or value.is_fully_replicated):
            raise ValueError(f"the weights {variable.path} are spread over several processes")
        return list({str(shard.index): shard.data for shard in value.addressable_shards}.values())
    if _BACKEND == "torch":
        return [value.detach()]
    if _BACKEND == "tensorflow":
        return [import_module("tensorflow").convert_to_tensor(value)]
    return [value]


def is_on_host(tensor: Any) -> bool:  # noqa: ANN401
    """Whether a tensor lies in this process's memory."""
    if _BACKEND == "jax":
        return all(device.platform == "cpu" for device in tensor.devices())
    if _BACKEND == "torch":
        return bool(tensor.device.type == "cpu")
    if _BACKEND == "tensorflow":
        return ":CPU:" in tensor.device.upper()
    return True


def array_of(tensor: Any) -> npt.NDArray[Any]:  # noqa: ANN401
    """Return a tensor as an array: a view that is not to be written to, or a copy of what lies elsewhere."""
    if _BACKEND == "torch":
        torch = import_module("torch")
        tensor = tensor.cpu()
        if tensor.dtype == torch.bfloat16:  # which PyTorch hands to NumPy as no type of its own
            return np.asarray(tensor.view(torch.int16).numpy()).view(ml_dtypes.bfloat16)
        return np.asarray(tensor.numpy())
    if _BACKEND in ("jax", "tensorflow"):
        return np.asarray(tensor)
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def gives_gradients(model: Any) -> bool:  # noqa: ANN401
    """Whether :func:`gradients_norm` can know them."""
    # What a LossScaleOptimizer has scaled them by, it may have changed since.
    is_scaled = isinstance(getattr(model, "optimizer", None), keras.optimizers.LossScaleOptimizer)
    return _BACKEND == "torch" and not is_scaled


def gradients_norm(model: Any) -> float | None:  # noqa: ANN401
    """Return the L2 norm of the last step's gradients, or None where they are gone with the step.

    PyTorch keeps them with the variables until the next step begins.
    """
    if not gives_gradients(model):
        return None
    ops: Any = keras.ops
    gradients = [variable.value.grad for variable in model.trainable_variables]
    norms = [ops.norm(gradient.detach()) for gradient in gradients if gradient is not None]
    scale = getattr(getattr(model, "optimizer", None), "loss_scale_factor", None) or 1.0
    return float(ops.norm(ops.stack(norms))) / float(scale) if norms else None

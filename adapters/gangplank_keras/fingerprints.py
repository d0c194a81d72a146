"""Tells whether two models have the same weights, without either's."""

from __future__ import annotations

import hashlib
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from gangplank_keras import tensors

_BYTES = 16


def fingerprint(model: Any) -> str | None:  # noqa: ANN401 - Keras is untyped
    """Return a fingerprint of a model's weights, the same when it is saved and loaded, on any backend.

    It reads them all: about 1 s for a GB.

    Returns:
        32 hexadecimal digits; None if the model has no weights yet.

    Raises:
        ValueError: some are in another process.
    """
    weights = list(getattr(model, "weights", ()))
    if not weights:
        return None
    digest = hashlib.blake2b(digest_size=_BYTES)
    for variable in weights:  # a layer's name may change from one process to the next, their order not
        array = _whole(variable)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _whole(variable: Any) -> npt.NDArray[Any]:  # noqa: ANN401
    parts = tensors.of_variable(variable)
    return tensors.array_of(parts[0]) if len(parts) == 1 else np.asarray(keras.ops.convert_to_numpy(variable))

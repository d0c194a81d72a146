"""Small models and callbacks that the Keras tests share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def data(rows: int = 32) -> tuple[Array, Array]:
    """Return inputs of shape (rows, 3) and targets of shape (rows, 1), always the same."""
    x = np.random.default_rng(0).normal(size=(rows, 3)).astype("float32")
    return x, x.sum(axis=1, keepdims=True)


def regression(name: str = "net", metrics: Any = ("mae",), **compile_options: Any) -> Any:
    """Return a compiled model of 4 weights."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)], name=name)
    options = {"optimizer": "sgd", "loss": "mse", "metrics": list(metrics), **compile_options}
    model.compile(**options)
    return model


class At(keras.callbacks.Callback):
    """Calls a function in a hook."""

    def __init__(self, hook: str, function: Callable[[], object]) -> None:
        super().__init__()
        setattr(self, hook, lambda *_args, **_kwargs: function())


def raising(error: BaseException) -> Callable[..., object]:
    """Return a function that raises ``error``, whatever it is given."""

    def function(*_: object) -> object:
        raise error

    return function


def settle() -> None:
    """Wait until no weights are read beside the training."""
    for thread in threading.enumerate():
        if thread.name == "gangplank-weights":
            thread.join()

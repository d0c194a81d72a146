"""A program whose page is looked at: it trains and predicts as it is told, a word a line, and answers in JSON."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from contextlib import suppress
from typing import Any

import keras
import numpy as np

import gangplank

HOSTILE = "<img src=x onerror=alert(1)>"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)

telemetry = gangplank.Telemetry(attributes={"team": "<b>vision</b>"})
server = telemetry.attach(gangplank.PrometheusExporter(port=0))
callback = gangplank.TelemetryCallback(telemetry, weights=gangplank.Weights(histogram_buckets="auto", every_n_epochs=1))


def model(name: str, rate: float = 0.01) -> Any:
    """Return a compiled model."""
    one = keras.Sequential([keras.Input((3,)), keras.layers.Dense(8), keras.layers.Dense(1)], name=name)
    one.compile(optimizer=keras.optimizers.SGD(rate), loss="mse", metrics=["mae"])
    return one


def fit(name: str = "net", rate: float = 0.01, epochs: int = 6, **more: Any) -> dict[str, list[str]]:
    """Train, and return what Keras's own history says."""
    callbacks = [*more.pop("callbacks", []), callback]
    found = model(name, rate).fit(X, Y, epochs=epochs, validation_split=0.25, verbose=0, callbacks=callbacks, **more)
    return {key: [str(float(value)) for value in values] for key, values in found.history.items()}


def diverge() -> dict[str, list[str]]:
    """Train with a learning rate that is far too high, under a name that would like to be HTML."""
    return fit(HOSTILE, 1e30, 3)


def evaluate() -> None:
    """Evaluate."""
    model("net").evaluate(X, Y, verbose=0, callbacks=[callback])


class Held(keras.callbacks.Callback):
    """Waits before each epoch until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.gate: queue.Queue[None] = queue.Queue()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Wait."""
        self.gate.get()


held = Held()


def begin() -> None:
    """Begin a training of three epochs that waits before each."""
    kwargs = {"name": "held", "epochs": 3, "callbacks": [held]}
    threading.Thread(target=fit, kwargs=kwargs, daemon=True).start()


def epoch() -> None:
    """Let one epoch go."""
    held.gate.put(None)


def predict() -> None:
    """Predict what drifts, and fail some."""
    detector = gangplank.FeatureDrift(RNG.normal(size=(400, 3)), ert=500, window=20, seed=0)
    one = gangplank.TelemetryModel(model("served"), telemetry, drift={"inputs": detector}, drift_inline=True)
    served.append(one)
    for batch in range(30):
        one.predict_on_batch(X[:8] + (10 if batch > 20 else 0))
    for _ in range(3):
        with suppress(Exception):
            one.predict_on_batch("nothing")


served: list[Any] = []
COMMANDS = {one.__name__: one for one in (fit, diverge, evaluate, begin, epoch, predict)}

if __name__ == "__main__":
    print(json.dumps({"url": server.url}), flush=True)  # noqa: T201
    for line in sys.stdin:
        print(json.dumps(COMMANDS[line.strip()]()), flush=True)  # noqa: T201
    os._exit(0)

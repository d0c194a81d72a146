"""Train, evaluate and serve a model of digits, with all there is to see: everything.py GATEWAY PORT EPOCHS SECONDS.

Training and evaluation are pushed as the job ``digits``; predictions, made between epochs that take so many seconds,
are scraped at the port. From the middle on the images have drifted. Stays until Enter.
"""

import sys
import time
from contextlib import suppress
from typing import Any

import keras
import numpy as np
import sklearn.datasets

import gangplank

gateway, port, epochs, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
random = np.random.default_rng(0)
keras.utils.set_random_seed(0)
images, digits = sklearn.datasets.load_digits(return_X_y=True)
images = (images / 16).astype("float32")
model = keras.Sequential(
    [
        keras.Input((64,)),
        keras.layers.Dense(64, activation="relu", name="hidden"),
        keras.layers.Dense(10, activation="softmax", name="digits"),
    ],
    name="net",
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])


def means_differ(reference: Any, window: Any) -> tuple[float, float]:
    """A test of two samples, for want of a better one: the statistic, and the p-value of a normal distribution."""
    difference = abs(reference.mean() - window.mean()) * np.sqrt(window.size) / reference.std()
    return float(difference), float(np.exp(-(difference**2) / 2))


def fails(*_: Any) -> Any:
    """A drift function with a fault in it, which telemetry keeps from the program."""
    raise LookupError("no reference")


class Serve(keras.callbacks.Callback):
    """Predicts between epochs."""

    def __init__(self) -> None:
        super().__init__()
        detectors: list[Any] = [
            gangplank.MMDDrift(images[:800, :8], ert=500, window=20, on=lambda x, _: x[:, :8]),
            gangplank.BatchTest(means_differ, images[:800], window=50, on="inputs", name="means"),
        ]
        self.served = gangplank.PrometheusModel(
            keras.models.clone_model(model), port=port, name="served", drift=detectors, get_drift_metrics_func=fails
        )

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Predict for as long as an epoch takes."""
        until = time.monotonic() + seconds
        drift = 0.3 if epoch >= epochs // 2 else 0
        while time.monotonic() < until:
            batch = images[random.integers(0, 1797, random.integers(1, 40))] + drift
            self.served.predict(batch, verbose=0)
            self.served(batch)
            if random.random() < 0.1:
                with suppress(Exception):  # whatever the backend raises
                    self.served.predict(batch[:, :5], verbose=0)
            time.sleep(seconds / 20)


if __name__ == "__main__":
    telemetry = gangplank.Telemetry(exporters=[gangplank.PushgatewayExporter(gateway, "digits")])
    weights = gangplank.Weights(every_n_epochs=1, layers=1, updates=True, gradients=True)
    callback = gangplank.TelemetryCallback(telemetry, weights=weights)
    training = images[:1200], digits[:1200]
    model.fit(*training, epochs=epochs, verbose=0, validation_split=0.2, callbacks=[callback, Serve()])
    model.evaluate(images[1200:], digits[1200:], verbose=0, callbacks=[callback])
    telemetry.flush()
    print("done", flush=True)  # noqa: T201
    input()

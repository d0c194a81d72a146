"""Train or evaluate a model in whatever provider the process has: zero_code.py train | evaluate | raise."""

import sys

import keras
import numpy as np

import gangplank

how = sys.argv[1]
x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
y = x.sum(axis=1, keepdims=True)
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)], name="net")
model.compile("sgd", "mse", metrics=["mae"])
callback = gangplank.TelemetryCallback(histogram_buckets=gangplank.HISTOGRAM_WEIGHT_BUCKETS_1_0)


class Fault(keras.callbacks.Callback):
    """Fails if the command line asks for it."""

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Fail."""
        if how == "raise":
            raise RuntimeError("as asked")


if how == "evaluate":
    loss = model.evaluate(x, y, verbose=0, callbacks=[callback], return_dict=True)["loss"]
else:
    loss = model.fit(x, y, epochs=3, verbose=0, callbacks=[callback, Fault()]).history["loss"][-1]
print(f"loss={loss}")  # noqa: T201

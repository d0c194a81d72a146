"""Train a model of four weights: train.py GATEWAY [raise | nan | endless | slowly]."""

import sys
import time

import keras
import numpy as np

import gangplank

gateway, how = sys.argv[1], (sys.argv[2:] or [""])[0]
x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
y = x.sum(axis=1, keepdims=True)
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)], name="net")
model.compile("sgd", "mse", metrics=["mae"])


class Fault(keras.callbacks.Callback):
    """Does what the command line asks for."""

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Fail, diverge or take time."""
        if how == "raise" and epoch == 1:
            raise RuntimeError("as asked")
        if how == "nan" and epoch == 0:
            model.set_weights([weights * np.nan for weights in model.get_weights()])
        if how in ("endless", "slowly"):
            time.sleep(0.1)


exporter = gangplank.TrainTestExporter(gateway, "mnist", histogram_buckets=gangplank.HISTOGRAM_WEIGHT_BUCKETS_1_0)
history = model.fit(
    x,
    y,
    epochs={"endless": 100_000, "slowly": 20}.get(how, 3),
    verbose=0,
    validation_split=0.25,
    callbacks=[exporter, Fault()],
)
print(f"loss={history.history['loss'][-1]}")  # noqa: T201

"""Trains, evaluates and predicts, and knows nothing of telemetry: unmodified.py [backend]."""

import os
import sys

if len(sys.argv) > 1:
    os.environ["KERAS_BACKEND"] = sys.argv[1]

import keras
import numpy as np

x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
y = x.sum(axis=1, keepdims=True)
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)], name="net")
model.compile("sgd", "mse", metrics=["mae"])
history = model.fit(x, y, epochs=2, verbose=0, validation_split=0.25)
test = model.evaluate(x, y, verbose=0, return_dict=True)
model.predict(x, verbose=0)
model(x[:5])
print(keras.backend.backend(), history.history["val_loss"][-1], test["loss"], flush=True)  # noqa: T201
sys.stdin.readline()

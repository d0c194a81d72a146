"""Evaluate a model of four weights: evaluate.py GATEWAY."""

import sys

import keras
import numpy as np

import gangplank

x = np.random.default_rng(1).normal(size=(64, 3)).astype("float32")
y = x.sum(axis=1, keepdims=True)
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)], name="net")
model.compile("sgd", "mse", metrics=["mae"])
exporter = gangplank.TrainTestExporter(sys.argv[1], "mnist", histogram_buckets=gangplank.HISTOGRAM_WEIGHT_BUCKETS_1_0)
model.evaluate(x, y, verbose=0, callbacks=[exporter])

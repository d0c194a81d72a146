"""Predict 101 samples in small batches, and stay to be scraped until Enter: predict.py MODEL PORT."""

import sys

import keras
import numpy as np

import gangplank

model = gangplank.PrometheusModel(keras.saving.load_model(sys.argv[1]), port=int(sys.argv[2]))
x = np.random.default_rng(0).normal(size=(101, 3)).astype("float32")
sizes = np.random.default_rng()
while len(x):
    size = sizes.integers(1, 10)
    model.predict(x[:size], verbose=0)
    x = x[size:]
input()

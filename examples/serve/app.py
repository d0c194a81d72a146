"""Serves the trained network over HTTP, and its metrics to Prometheus: what gunicorn's workers load."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import convnet

import gangplank

_SHARED = Path(tempfile.gettempdir(), "gangplank", "workers")
"""What all workers keep their metrics in, unless the environment says where."""

app = FastAPI()
model = gangplank.PrometheusModel(
    keras.saving.load_model(convnet.SAVED),
    port=int(os.environ.get("METRICS_PORT", "8561")),
    host=os.environ.get("METRICS_HOST", "127.0.0.1"),
    multiprocess_dir=os.environ.get("METRICS_DIR", _SHARED),
)


class Image(BaseModel):
    """28 rows of 28 pixels, from 0 for black to 1 for white."""

    pixels: list[list[float]]


class Prediction(BaseModel):
    """The digit that an image most likely shows."""

    digit: int
    probability: float


@app.post("/predict")
def predict(image: Image) -> Prediction:
    """Tell which digit an image shows. FastAPI runs this on several threads, which calls of a model do not mind."""
    try:
        pixels = np.asarray(image.pixels, "float32").reshape(1, 28, 28, 1)
    except ValueError as error:
        raise HTTPException(422, "pixels must be 28 rows of 28 numbers") from error
    probabilities = keras.ops.convert_to_numpy(model(pixels))[0]
    digit = int(probabilities.argmax())
    return Prediction(digit=digit, probability=float(probabilities[digit]))

"""Reads 101 handwritten digits with the trained network, while what it predicts is served to Prometheus."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import convnet
import digits

import gangplank

IMAGES = 101
LARGEST_BATCH = 10
TIMEOUT = 10


def main() -> None:
    """Predict, show what was measured, and stay for as long as somebody is there to look."""
    options = _options()
    if not convnet.SAVED.is_file():
        sys.exit(f"{os.path.relpath(convnet.SAVED)} is not there: run train/train.py first")
    _, (x_test, y_test), source = digits.load(small=options.fast)
    print(f"Reading {IMAGES} of the images to test with from {source}")
    try:
        model = gangplank.PrometheusModel(keras.saving.load_model(convnet.SAVED), port=options.port)
    except gangplank.ServerStartError as error:
        sys.exit(str(error))
    url = f"http://127.0.0.1:{options.port}/metrics"
    print(f"Metrics: {url}")
    right = batches = 0
    for images in _batches(len(x_test)):
        predicted = model.predict(x_test[images], verbose=0)
        right += int(np.sum(predicted.argmax(axis=1) == y_test[images].argmax(axis=1)))
        batches += 1
    print(f"{right} of {IMAGES} were read right, in {batches} batches. Read back from {url}:\n")
    _show(url)
    if sys.stdin.isatty() and sys.stdout.isatty():
        _stay()


def _batches(count: int) -> Iterator[Any]:
    """Yield the indices of images chosen at random, in batches of random size."""
    random = np.random.default_rng()
    left = random.choice(count, IMAGES, replace=False)
    while len(left):
        size = random.integers(1, LARGEST_BATCH, endpoint=True)
        yield left[:size]
        left = left[size:]


def _show(url: str) -> None:
    with requests.Session() as session:
        session.trust_env = False  # the server is this process; no proxy knows it
        lines = session.get(url, timeout=TIMEOUT).text.splitlines()
    print("\n".join(line for line in lines if line.startswith("gangplank_predict_") and "_bucket{" not in line))


def _stay() -> None:
    print("\nStill serving until you press Enter or Ctrl-C.")
    try:
        input()
    except (EOFError, KeyboardInterrupt):
        print()
    print("Stopped.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8561, help="port to serve the metrics at (%(default)s)")
    parser.add_argument("--fast", action="store_true", help="use the small set of digits, as train.py --fast does")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""Trains the network on handwritten digits and sends its training metrics to a Pushgateway."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import keras

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import convnet
import digits

import gangplank


def main() -> None:
    """Train, and keep the best model."""
    options = _options()
    (x_train, y_train), _, source = digits.load(small=options.fast)
    print(f"Training on {source}")
    convnet.SAVED.parent.mkdir(exist_ok=True)
    convnet.build().fit(
        x_train,
        y_train,
        batch_size=32,
        epochs=options.epochs or (3 if options.fast else 10),
        validation_split=0.1,
        callbacks=[
            keras.callbacks.ModelCheckpoint(convnet.SAVED, save_best_only=True),
            gangplank.TrainTestExporter(options.gateway, "mnist"),
        ],
    )
    print(f"The best model is in {os.path.relpath(convnet.SAVED)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, help="how often to go through the images (10; with --fast 3)")
    parser.add_argument("--gateway", default="127.0.0.1:9091", help="the Pushgateway (%(default)s)")
    parser.add_argument("--fast", action="store_true", help="use the small set of digits, and train briefly")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""Trains the network, evaluates it and reads some digits with it; it knows nothing of telemetry."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import convnet
import digits

IMAGES = 101


def main() -> None:
    """Do the three."""
    options = _options()
    (x_train, y_train), (x_test, y_test), source = digits.load(small=options.fast)
    print(f"Training on {source}")
    model = convnet.build()
    epochs = options.epochs or (3 if options.fast else 10)
    model.fit(x_train, y_train, batch_size=32, epochs=epochs, validation_split=0.1, verbose=2)
    model.evaluate(x_test, y_test, verbose=2)
    right = model.predict(x_test[:IMAGES], verbose=0).argmax(axis=1) == y_test[:IMAGES].argmax(axis=1)
    print(f"{right.sum()} of {IMAGES} were read right")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, help="how often to go through the images (10; with --fast 3)")
    parser.add_argument("--fast", action="store_true", help="use the small set of digits, and train briefly")
    return parser.parse_args()


if __name__ == "__main__":
    main()

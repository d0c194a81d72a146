"""Trains the network and exports metrics of one's own beside those that Keras reports."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import keras

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import convnet
import digits

import gangplank

BATCH_SIZE = 32
EXPORTED = ["loss", "val_loss", "learning_rate", "generalization_gap"]


class LearningRate(keras.callbacks.Callback):
    """Adds the learning rate, as the optimizer's schedule has it, to the logs of each epoch."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras's signature
        """Add it."""
        if logs is not None:
            logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))


class GeneralizationGap(keras.callbacks.Callback):
    """Adds how much worse the model does on images that it was not trained on; overfitting makes it grow."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Add it."""
        if logs is not None:
            logs["generalization_gap"] = logs["val_loss"] - logs["loss"]


def main() -> None:
    """Train, with a learning rate that falls by 20 % an epoch."""
    options = _options()
    (x_train, y_train), _, source = digits.load(small=options.fast)
    print(f"Training on {source}")
    schedule = keras.optimizers.schedules.ExponentialDecay(
        0.002, decay_steps=0.9 * len(x_train) / BATCH_SIZE, decay_rate=0.8
    )
    convnet.build(schedule).fit(
        x_train,
        y_train,
        batch_size=BATCH_SIZE,
        epochs=options.epochs or (3 if options.fast else 10),
        validation_split=0.1,
        callbacks=[
            LearningRate(),
            GeneralizationGap(),
            # Behind the callbacks that add to the logs: Keras calls them in this order.
            gangplank.TrainTestExporter(options.gateway, "mnist_custom", metrics=EXPORTED),
        ],
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, help="how often to go through the images (10; with --fast 3)")
    parser.add_argument("--gateway", default="127.0.0.1:9091", help="the Pushgateway (%(default)s)")
    parser.add_argument("--fast", action="store_true", help="use the small set of digits, and train briefly")
    return parser.parse_args()


if __name__ == "__main__":
    main()

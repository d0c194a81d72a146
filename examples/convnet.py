"""The model of the examples: a small convolutional network for images of 28x28x1 and ten classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
from keras import layers

SAVED = Path(__file__).resolve().parent / "models" / "mnist_convnet.keras"
"""Where the training example leaves the best model, and other examples look for it."""


def build(learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.001) -> Any:  # noqa: ANN401
    """Return the compiled Keras model; its 104,202 weights are all trainable.

    The model's name becomes the ``model`` label of every metric.
    """
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, kernel_size=3, activation="relu"),
            layers.MaxPooling2D(pool_size=2),
            layers.Conv2D(64, kernel_size=3, activation="relu"),
            layers.MaxPooling2D(pool_size=2),
            layers.Conv2D(128, kernel_size=3, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ],
        name="mnist",
    )
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model

"""Handwritten digits for the examples: MNIST where it can be had, else a small real set that needs no network."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

Array = npt.NDArray[np.float32]
Split = tuple[Array, Array]
"""Images of 28x28x1 with values from 0 to 1, and their labels, one-hot."""

_HOST = ("storage.googleapis.com", 443)
_REACHABLE_WITHIN = 2.5
_STALLED_AFTER = 10.0
_CLASSES = 10
_TEST_SHARE = 0.2


def load(*, small: bool = False) -> tuple[Split, Split, str]:
    """Return the training set, the test set, and a line that says which digits they are.

    MNIST is used if Keras has it in its cache or can download it. Without a network this takes a few seconds to find
    out, and the small set is used: the 1,797 digits of scikit-learn.

    Args:
        small: Use the small set in any case.
    """
    mnist = None if small else _mnist()
    return _scikit_learn() if mnist is None else mnist


def _mnist() -> tuple[Split, Split, str] | None:
    if not (_is_cached() or _is_reachable()):
        return None
    import keras  # noqa: PLC0415 - who wants the small set needs no Keras

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_STALLED_AFTER)  # Keras's download has no timeout of its own
    try:
        (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    except Exception as error:  # noqa: BLE001 - Keras raises bare Exception, and there is another set to use
        print(f"MNIST could not be loaded ({error})")
        return None
    finally:
        socket.setdefaulttimeout(before)
    train, test = _split(x_train, y_train, white=255), _split(x_test, y_test, white=255)
    return train, test, f"MNIST, {_sizes(train, test)}"


def _is_cached() -> bool:
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    return (home / "datasets" / "mnist.npz").is_file()


def _is_reachable() -> bool:
    """Return whether the host of Keras's datasets answers in time; a thread, since looking up its name can hang."""
    answered = threading.Event()

    def connect() -> None:
        try:
            with socket.create_connection(_HOST, timeout=_REACHABLE_WITHIN):
                answered.set()
        except OSError:
            pass

    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(_REACHABLE_WITHIN)
    return answered.is_set()


def _scikit_learn() -> tuple[Split, Split, str]:
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    images = _enlarge(digits.images[order])
    labels = digits.target[order]
    held_out = round(len(labels) * _TEST_SHARE)
    train = _split(images[held_out:], labels[held_out:], white=16)
    test = _split(images[:held_out], labels[:held_out], white=16)
    return train, test, f"scikit-learn's 8x8 handwritten digits, enlarged to 28x28, {_sizes(train, test)}"


def _enlarge(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return images of 8x8 as 28x28: each pixel becomes 3x3, inside a margin of two."""
    larger = images.repeat(3, axis=1).repeat(3, axis=2)
    return np.pad(larger, ((0, 0), (2, 2), (2, 2)))


def _split(images: npt.NDArray[Any], labels: npt.NDArray[np.integer], *, white: float) -> Split:
    one_hot = np.eye(_CLASSES, dtype=np.float32)[labels]
    return images[..., np.newaxis].astype(np.float32) / np.float32(white), one_hot


def _sizes(train: Split, test: Split) -> str:
    return f"{len(train[0]):,} to train with and {len(test[0]):,} to test with"

"""What the drift examples have the network read: handwritten digits that it was not trained on, without end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.float32]

IN_MNIST = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
"""How often each digit is among the images of MNIST to test with. They come as often here."""
WITHHELD = 0
_MOVED_BY = 1
_NOISE = 0.05


class Traffic:
    """Draws images, each a little different from all before: moved by up to a pixel, and with noise.

    There are few images to test with, and a reference that has each of them over and over is like no traffic.

    Args:
        images: Images of 28x28x1, their values from 0 to 1.
        labels: Their labels, one-hot.
    """

    def __init__(self, images: Images, labels: Images) -> None:
        self._images = images
        self._digits = labels.argmax(axis=1)
        self._shares = np.array(IN_MNIST)[self._digits] / np.bincount(self._digits)[self._digits]
        self._random = np.random.default_rng(0)

    def draw(self, number: int, *, is_withheld: bool = False) -> Images:
        """Return so many images, of all digits or without the one that is withheld."""
        shares = self._shares * (self._digits != WITHHELD) if is_withheld else self._shares
        return self._altered(self._images[self._random.choice(len(shares), number, p=shares / shares.sum())])

    def batches(self, sizes: Sequence[int], quiet: int, withheld: int, minutes: float) -> Iterator[Images]:
        """Yield batches until there were so many images, as evenly as the time allows, and say when one digit is gone.

        Args:
            sizes: How large batches are, each as often.
            quiet: Images of all digits.
            withheld: Images without one, after those.
            minutes: How long it takes, if predictions are as fast.
        """
        began = time.monotonic()
        drawn, total = 0, quiet + withheld
        for end in (quiet, total):
            if end == total:
                print(f"From here on, after {quiet:,} images, there is no digit {WITHHELD}", flush=True)
            while drawn < end:
                number = min(end - drawn, int(self._random.choice(sizes)))
                yield self.draw(number, is_withheld=end == total)
                drawn += number
                time.sleep(max(0.0, began + 60 * minutes * drawn / total - time.monotonic()))

    def _altered(self, images: Images) -> Images:
        moves = self._random.integers(-_MOVED_BY, _MOVED_BY, size=(len(images), 2), endpoint=True)
        moved: Any = np.stack([np.roll(image, move, axis=(0, 1)) for image, move in zip(images, moves, strict=True)])
        noise = self._random.normal(0, _NOISE, images.shape)
        return np.clip(moved + noise, 0, 1).astype(np.float32)

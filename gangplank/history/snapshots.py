"""Distributions over time, such as those of the weights: fewer than of numbers, since each is many numbers."""

from __future__ import annotations

from typing import NamedTuple

from gangplank.distribution import Distribution

MOST = 100
"""Distributions that are kept at the most, the newest aside."""

MOST_BUCKETS = 200
"""A distribution of more buckets is not kept: nobody could tell them apart."""


class Snapshot(NamedTuple):
    """A distribution, when it was seen, and after how many epochs, if that is known."""

    distribution: Distribution
    at: float
    epochs: float | None


class Snapshots:
    """Distributions, from the first one to the newest. When there are :data:`MOST`, every other one goes."""

    def __init__(self) -> None:
        self._kept: list[Snapshot] = []
        self._newest: Snapshot | None = None
        self._stride = 1
        self._seen = 0

    def add(self, distribution: Distribution, at: float, epochs: float | None = None) -> None:
        """Add a distribution, unless it is the one that was added last.

        Args:
            distribution: The distribution, whose own timestamp is by another clock.
            at: When it was seen.
            epochs: After how many epochs.
        """
        is_same = self._newest is not None and self._newest.distribution.timestamp == distribution.timestamp
        if is_same or len(distribution.bounds) > MOST_BUCKETS:
            return
        self._newest = Snapshot(distribution, at, epochs)
        if self._seen % self._stride == 0:
            self._kept.append(self._newest)
        self._seen += 1
        if len(self._kept) >= MOST:
            self._kept = self._kept[::2]
            self._stride *= 2

    def since(self, moment: float) -> list[Snapshot]:
        """Return those after a time, the newest always among them."""
        last = [] if self._newest is None or self._newest in self._kept[-1:] else [self._newest]
        return [one for one in (*self._kept, *last) if one.at > moment]

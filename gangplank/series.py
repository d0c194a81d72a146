"""One series of each kind of metric: how it is written, and what it holds now."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import accumulate
from typing import Any, Protocol

from gangplank.catalogue import Kind, Metric
from gangplank.distribution import Distribution

Labels = tuple[tuple[str, str], ...]
"""Attribute keys and values, in the order of the metric's attributes."""


class Owner(Protocol):
    """What holds the series: the state."""

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Held for every read and write."""
        ...

    def written(self, metric: Metric) -> None:
        """Hear of a write to a series of ``metric``, with the lock held."""
        ...

    def tell_observed(self, metric: Metric, labels: Labels, value: float, times: int) -> None:
        """Pass an observation on, without the lock."""
        ...


Value = float | Distribution | None
Current = Value | Callable[[], float]


class Series:
    """What all series share."""

    __slots__ = ("_labels", "_metric", "_owner")

    def __init__(self, owner: Owner, metric: Metric, labels: Labels) -> None:
        self._owner = owner
        self._metric = metric
        self._labels = labels

    def current(self) -> Current:
        """Return the present value, or a function that computes it, or None for no value; the lock is held."""
        raise NotImplementedError


class Gauge(Series):
    """A value that goes up and down. A value that is not finite counts as none: an old one must not stay on show."""

    __slots__ = ("_current",)

    def __init__(self, owner: Owner, metric: Metric, labels: Labels) -> None:
        super().__init__(owner, metric, labels)
        self._current: float | Callable[[], float] | None = None

    def set(self, value: float) -> None:
        """Set the value; NaN and infinities take the series away until a finite value comes."""
        with self._owner.lock:
            self._current = value if math.isfinite(value) else None
            self._owner.written(self._metric)

    def follow(self, function: Callable[[], float]) -> None:
        """Compute the value with ``function`` whenever it is read, until it is set."""
        with self._owner.lock:
            self._current = function
            self._owner.written(self._metric)

    def clear(self) -> None:
        """Take the series away until a value is set."""
        with self._owner.lock:
            self._current = None
            self._owner.written(self._metric)

    def current(self) -> float | Callable[[], float] | None:
        """Return the value, or the function that computes it."""
        return self._current


class Counter(Series):
    """A total that only grows."""

    __slots__ = ("_total",)

    def __init__(self, owner: Owner, metric: Metric, labels: Labels) -> None:
        super().__init__(owner, metric, labels)
        self._total: float = 0

    def add(self, amount: float) -> None:
        """Add ``amount``, which must not be negative."""
        if not amount >= 0:
            raise ValueError(f"amount must be 0 or more, got {amount!r}")
        with self._owner.lock:
            self._total += amount
            self._owner.written(self._metric)

    def current(self) -> float:
        """Return the total."""
        return self._total


class Histogram(Series):
    """Observations that accumulate."""

    __slots__ = ("_counts", "_sum")

    def __init__(self, owner: Owner, metric: Metric, labels: Labels) -> None:
        super().__init__(owner, metric, labels)
        self._counts = [0] * (len(metric.bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Record ``value`` as seen ``times`` times."""
        index = bisect_left(self._metric.bounds, value)
        with self._owner.lock:
            self._counts[index] += times
            self._sum += value * times
            self._owner.written(self._metric)
        self._owner.tell_observed(self._metric, self._labels, value, times)

    def current(self) -> Distribution:
        """Return all observations so far."""
        return Distribution(self._metric.bounds, tuple(accumulate(self._counts)), self._sum)


class Snapshot(Series):
    """The distribution of values at one moment; a new one replaces it."""

    __slots__ = ("_current",)

    def __init__(self, owner: Owner, metric: Metric, labels: Labels) -> None:
        super().__init__(owner, metric, labels)
        self._current: Distribution | None = None

    def set(self, distribution: Distribution) -> None:
        """Replace the distribution."""
        with self._owner.lock:
            self._current = distribution
            self._owner.written(self._metric)

    def current(self) -> Distribution | None:
        """Return the last distribution."""
        return self._current


KINDS: dict[Kind, type[Series]] = {
    Kind.GAUGE: Gauge,
    Kind.COUNTER: Counter,
    Kind.HISTOGRAM: Histogram,
    Kind.SNAPSHOT: Snapshot,
}

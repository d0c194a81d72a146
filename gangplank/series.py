"""One series of each kind of metric: how it is written, and what it holds now."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import accumulate
from typing import Any, Protocol

from gangplank.cells import Cells, Labels, Memory, Part, Row
from gangplank.distribution import Distribution, Exemplar
from gangplank.metrics import Kind, Metric, Union


class Owner(Protocol):
    """What holds the series: the state."""

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Held for every read and write, but for those of a thread's own share."""
        ...

    def allocate(self, *parts: Part) -> Cells:
        """Return cells to keep these parts in; the lock is held."""
        ...

    def release(self, cells: Cells) -> None:
        """Take back cells that are no longer used; the lock is held."""
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
    """What all series share.

    Args:
        owner: The state.
        metric: The metric.
        labels: The labels.

    Attributes:
        shares: What else is part of the series, beside what is written here: cells that threads write to without a
            lock, each with the offset of what is this series' own.
    """

    __slots__ = ("_cells", "_owner", "labels", "metric", "shares")

    def __init__(self, owner: Owner, metric: Metric, labels: Labels) -> None:
        self._owner = owner
        self.metric = metric
        self.labels = labels
        self.shares: tuple[tuple[Cells, int], ...] = ()
        self._cells: Cells | None = None

    def part(self, offset: int = 0) -> Part:
        """Return this series as a part of cells, from ``offset`` on."""
        return Part(self.metric, self.labels, offset, self.metric.bounds)

    def current(self) -> Current:
        """Return the present value, or a function that computes it, or None for no value; the lock is held."""
        raise NotImplementedError

    def keep(self) -> None:
        """Have cells, from now on if not before; the lock is held."""
        self._own()

    def move(self) -> None:
        """Move to new cells, as the owner allocates them now; the lock is held."""
        old, self._cells = self._cells, None
        if old is not None:
            new = self._own()
            for index in range(len(old)):
                new[index] = old[index]

    def leave(self) -> Cells | None:
        """Forget everything, and return the cells that are no longer used; the lock is held."""
        old, self._cells, self.shares = self._cells, None, ()
        return old

    def detach(self) -> Cells | None:
        """As ``leave``, and write to nowhere from now on."""
        old = self.leave()
        self._cells = Memory().allocate([self.part()])
        return old

    def _own(self) -> Cells:
        if self._cells is None:
            self._cells = self._owner.allocate(self.part())
        return self._cells

    def _all(self) -> tuple[tuple[Cells, int], ...]:
        return self.shares if self._cells is None else ((self._cells, 0), *self.shares)


class Gauge(Series):
    """A value that goes up and down. A value that is not finite counts as none: an old one must not stay on show.

    Attributes:
        undefined: The value that was set last, if that is not finite.
    """

    __slots__ = ("_function", "undefined")

    def __init__(self, owner: Owner, metric: Metric, labels: Labels) -> None:
        super().__init__(owner, metric, labels)
        self._function: Callable[[], float] | None = None
        self.undefined: float | None = None

    def set(self, value: float) -> None:
        """Set the value; NaN and infinities take the series away until a finite value comes."""
        is_finite = math.isfinite(value)
        self._set(value if is_finite else None, None, None if is_finite else value)

    def follow(self, function: Callable[[], float]) -> None:
        """Compute the value with ``function`` whenever it is read, until it is set."""
        self._set(None, function)

    def clear(self) -> None:
        """Take the series away until a value is set."""
        self._set(None, None)

    def write_computed(self) -> None:
        """Write down what the function computes now, if there is one."""
        function = self._function
        if function is not None:
            value = function()
            with self._owner.lock:
                if self._function is function:
                    self._write(value)

    def current(self) -> float | Callable[[], float] | None:
        """Return the value, or the function that computes it."""
        if self._function is not None:
            return self._function
        values = [value for cells, offset in self._all() if (value := gauge_value(self.metric, cells, offset))]
        return together(self.metric.union, values)

    def leave(self) -> Cells | None:
        """Forget everything, the function included."""
        self._function = self.undefined = None
        return super().leave()

    def _set(self, value: float | None, function: Callable[[], float] | None, undefined: float | None = None) -> None:
        with self._owner.lock:
            self._function, self.undefined = function, undefined
            self._write(value)
            self._owner.written(self.metric)

    def _write(self, value: float | None) -> None:
        cells = self._own()
        cells[0] = 0 if value is None else value
        if self.metric.union is Union.NEWEST:
            cells[1] = 0 if value is None else time.time()


def gauge_value(metric: Metric, cells: Row, offset: int = 0) -> tuple[float, float] | None:
    """Return what a gauge's cells hold, as the time at which it was set and the value, or None for no value.

    Of what is the greatest of several, which is a time, 0 is none; of a sum, nothing is.
    """
    value = cells[offset]
    if metric.union is Union.NEWEST:
        return (cells[offset + 1], value) if cells[offset + 1] else None
    return (0, value) if value or metric.union is Union.SUM else None


def together(union: Union, values: list[tuple[float, float]]) -> float | None:
    """Return what gauges are together.

    Args:
        union: How to unite them.
        values: Of each, the time at which it was set, and its value.
    """
    if union is Union.SUM:
        return sum(value for _, value in values)
    if not values:
        return None
    if union is Union.GREATEST:
        return max(value for _, value in values)
    return max(values)[1]


class Counter(Series):
    """A total that only grows."""

    __slots__ = ()

    def add(self, amount: float) -> None:
        """Add ``amount``, which must be finite and not negative."""
        if not 0 <= amount < math.inf:
            raise ValueError(f"amount must be finite and 0 or more, got {amount!r}")
        with self._owner.lock:
            self._own()[0] += amount
            self._owner.written(self.metric)

    def current(self) -> float:
        """Return the total."""
        return sum(cells[offset] for cells, offset in self._all())


class Histogram(Series):
    """Observations that accumulate."""

    __slots__ = ("_exemplars",)

    def __init__(self, owner: Owner, metric: Metric, labels: Labels) -> None:
        super().__init__(owner, metric, labels)
        self._exemplars: dict[int, Exemplar] = {}

    def observe(self, value: float, times: int = 1) -> None:
        """Record ``value`` as seen ``times`` times."""
        index = bisect_left(self.metric.bounds, value)
        with self._owner.lock:
            cells = self._own()
            cells[index] += times
            cells[len(self.metric.bounds) + 1] += value * times
            self._owner.written(self.metric)
        self.tell(value, times)

    def tell(self, value: float, times: int = 1) -> None:
        """Pass an observation to those who cannot read it here."""
        self._owner.tell_observed(self.metric, self.labels, value, times)

    def exemplify(self, exemplar: Exemplar) -> None:
        """Keep an observation as the example of its bucket."""
        self._exemplars[bisect_left(self.metric.bounds, exemplar.value)] = exemplar

    def current(self) -> Distribution:
        """Return all observations so far."""
        held, buckets = self._all(), range(len(self.metric.bounds) + 1)
        counts = [sum(int(cells[offset + index]) for cells, offset in held) for index in buckets]
        total = sum(cells[offset + len(buckets)] for cells, offset in held)
        exemplars = tuple(sorted(self._exemplars.copy().items()))
        return Distribution(self.metric.bounds, tuple(accumulate(counts)), total, exemplars=exemplars)

    def leave(self) -> Cells | None:
        """Forget everything, the examples included."""
        self._exemplars = {}
        return super().leave()


class Snapshot(Series):
    """The distribution of values at one moment; a new one replaces it."""

    __slots__ = ("_bounds",)

    def __init__(self, owner: Owner, metric: Metric, labels: Labels) -> None:
        super().__init__(owner, metric, labels)
        self._bounds: tuple[float, ...] = ()

    def part(self, offset: int = 0) -> Part:
        """Return this series as a part of cells, from ``offset`` on."""
        return Part(self.metric, self.labels, offset, self._bounds)

    def keep(self) -> None:
        """Wait for a distribution: until then it is not known how many cells it takes."""

    def set(self, distribution: Distribution) -> None:
        """Replace the distribution."""
        with self._owner.lock:
            if distribution.bounds != self._bounds:
                if self._cells is not None:
                    self._owner.release(self._cells)
                self._bounds, self._cells = distribution.bounds, None
            cells = self._own()
            extremes = (math.nan if one is None else one for one in (distribution.least, distribution.greatest))
            for index, number in enumerate((*distribution.cumulative, distribution.sum, *extremes, time.time())):
                cells[index] = number
            self._owner.written(self.metric)

    def current(self) -> Distribution | None:
        """Return the last distribution."""
        return None if self._cells is None else snapshot_value(self._bounds, self._cells)


def snapshot_value(bounds: tuple[float, ...], cells: Row) -> Distribution | None:
    """Return what a snapshot's cells hold, or None for nothing."""
    total, least, greatest, timestamp = (cells[len(bounds) + index] for index in range(1, 5))
    if not timestamp:
        return None
    cumulative = tuple(int(cells[index]) for index in range(len(bounds) + 1))
    known = not math.isnan(least)
    return Distribution(
        bounds, cumulative, total, least if known else None, greatest if known else None, timestamp=timestamp
    )


KINDS: dict[Kind, type[Series]] = {
    Kind.GAUGE: Gauge,
    Kind.COUNTER: Counter,
    Kind.HISTOGRAM: Histogram,
    Kind.SNAPSHOT: Snapshot,
}

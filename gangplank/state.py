"""What is true now, in plain Python: gauges, counters and distributions, per series, behind one lock.

Adapters write here and every exit reads here, so that a fact has one value wherever it is looked at. Writing
costs a lock and an assignment; no exit is ever called from a write, except that a histogram's observation is passed
to listeners, as OpenTelemetry cannot take it any other way.
"""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol, TypeVar

from gangplank.catalogue import Kind, Metric, Phase
from gangplank.distribution import Distribution

Labels = tuple[tuple[str, str], ...]


class Clock(Protocol):
    """Where time comes from; tests bring their own."""

    def time(self) -> float:
        """Return the Unix time in seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some moment, never going back: for durations."""
        ...


class SystemClock:
    """The system's clock."""

    def time(self) -> float:
        """Return the Unix time in seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since some moment."""
        return time.perf_counter()


@dataclass(frozen=True, slots=True)
class Point:
    """One series at the moment of reading."""

    labels: Labels
    value: float | Distribution


@dataclass(frozen=True, slots=True)
class Family:
    """One metric and all its series at the moment of reading."""

    metric: Metric
    points: tuple[Point, ...]


class Listener(Protocol):
    """Hears what cannot be learnt by reading the state."""

    def metric_added(self, metric: Metric) -> None:
        """Called before the first series of ``metric`` is written, without the state's lock."""
        ...

    def observed(self, metric: Metric, labels: Labels, value: float, times: int) -> None:
        """Called after a histogram took ``value`` ``times`` times, without the state's lock."""
        ...


_Value = float | Distribution | None
_Current = _Value | Callable[[], float]


class _Series:
    """What all series share."""

    __slots__ = ("_labels", "_lock", "_metric", "_state")

    def __init__(self, state: State, metric: Metric, labels: Labels) -> None:
        self._state = state
        self._lock = state.lock
        self._metric = metric
        self._labels = labels

    def current(self) -> _Current:
        """Return the present value, or a function that computes it, or None for no value; the lock is held."""
        raise NotImplementedError


class Gauge(_Series):
    """A value that goes up and down. A value that is not finite counts as none: an old one must not stay on show."""

    __slots__ = ("_current",)

    def __init__(self, state: State, metric: Metric, labels: Labels) -> None:
        super().__init__(state, metric, labels)
        self._current: float | Callable[[], float] | None = None

    def set(self, value: float) -> None:
        """Set the value; NaN and infinities take the series away until a finite value comes."""
        with self._lock:
            self._current = value if math.isfinite(value) else None
            self._state.written(self._metric)

    def follow(self, function: Callable[[], float]) -> None:
        """Compute the value with ``function`` whenever it is read, until it is set."""
        with self._lock:
            self._current = function
            self._state.written(self._metric)

    def clear(self) -> None:
        """Take the series away until a value is set."""
        with self._lock:
            self._current = None
            self._state.written(self._metric)

    def current(self) -> float | Callable[[], float] | None:
        """Return the value, or the function that computes it."""
        return self._current


class Counter(_Series):
    """A total that only grows."""

    __slots__ = ("_total",)

    def __init__(self, state: State, metric: Metric, labels: Labels) -> None:
        super().__init__(state, metric, labels)
        self._total: float = 0

    def add(self, amount: float) -> None:
        """Add ``amount``, which must not be negative."""
        if not amount >= 0:
            raise ValueError(f"amount must be 0 or more, got {amount!r}")
        with self._lock:
            self._total += amount
            self._state.written(self._metric)

    def current(self) -> float:
        """Return the total."""
        return self._total


class Histogram(_Series):
    """Observations that accumulate."""

    __slots__ = ("_counts", "_sum")

    def __init__(self, state: State, metric: Metric, labels: Labels) -> None:
        super().__init__(state, metric, labels)
        self._counts = [0] * (len(metric.bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Record ``value`` as seen ``times`` times."""
        index = bisect_left(self._metric.bounds, value)
        with self._lock:
            self._counts[index] += times
            self._sum += value * times
            self._state.written(self._metric)
        self._state.tell_observed(self._metric, self._labels, value, times)

    def current(self) -> Distribution:
        """Return all observations so far."""
        return Distribution(self._metric.bounds, tuple(accumulate(self._counts)), self._sum)


class Snapshot(_Series):
    """The distribution of values at one moment; a new one replaces it."""

    __slots__ = ("_current",)

    def __init__(self, state: State, metric: Metric, labels: Labels) -> None:
        super().__init__(state, metric, labels)
        self._current: Distribution | None = None

    def set(self, distribution: Distribution) -> None:
        """Replace the distribution."""
        with self._lock:
            self._current = distribution
            self._state.written(self._metric)

    def current(self) -> Distribution | None:
        """Return the last distribution."""
        return self._current


_states: weakref.WeakSet[State] = weakref.WeakSet()
_forking: list[State] = []


def _before_fork() -> None:
    # A lock that another thread holds at the moment of a fork stays locked in the child for ever.
    _forking.extend(_states)
    for state in _forking:
        state.lock.acquire()


def _after_fork() -> None:
    while _forking:
        _forking.pop().lock.release()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)

_KINDS: dict[Kind, type[_Series]] = {
    Kind.GAUGE: Gauge,
    Kind.COUNTER: Counter,
    Kind.HISTOGRAM: Histogram,
    Kind.SNAPSHOT: Snapshot,
}
_S = TypeVar("_S", bound=_Series)


class State:
    """All series of one telemetry.

    Every method may be called from any thread.

    Attributes:
        lock: Held for every read and write. It is re-entrant, since a signal handler or a finalizer may write while
            its own thread is in the middle of a write.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._families: dict[Metric, dict[Labels, _Series]] = {}
        self._listeners: tuple[Listener, ...] = ()
        self._version = 0
        _states.add(self)

    @property
    def version(self) -> int:
        """A number that grows with every write, those about exporting aside."""
        return self._version

    def gauge(self, metric: Metric, /, **attributes: str) -> Gauge:
        """Return the gauge of that metric and those attributes, made if need be."""
        return self._series(Gauge, metric, attributes)

    def counter(self, metric: Metric, /, **attributes: str) -> Counter:
        """Return the counter of that metric and those attributes, made if need be and then at 0."""
        return self._series(Counter, metric, attributes)

    def histogram(self, metric: Metric, /, **attributes: str) -> Histogram:
        """Return the histogram of that metric and those attributes, made if need be and then empty."""
        return self._series(Histogram, metric, attributes)

    def snapshot(self, metric: Metric, /, **attributes: str) -> Snapshot:
        """Return the snapshot of that metric and those attributes, made if need be and then without a value."""
        return self._series(Snapshot, metric, attributes)

    def forget(self, unwanted: Callable[[Metric, dict[str, str]], bool]) -> None:
        """Drop every series for which ``unwanted(metric, attributes)`` holds; its handles then write to nowhere."""
        with self.lock:
            for metric, family in self._families.items():
                for labels in [labels for labels in family if unwanted(metric, dict(labels))]:
                    del family[labels]
                    self._version += 1

    def read(self, *, only: Metric | None = None) -> list[Family]:
        """Return all families that have a value now, in the order in which they came.

        Args:
            only: Read just this metric.
        """
        return merge([self], only=only)

    def series_now(self, only: Metric | None = None) -> list[tuple[Metric, list[tuple[Labels, _Value]]]]:
        """Return the labels and the value of all series, or of those of one metric; None is that of a series without.

        It is :func:`merge` that needs the latter.
        """
        with self.lock:
            chosen = list(self._families.items()) if only is None else [(only, self._families.get(only, {}))]
            raw = [
                (metric, [(labels, series.current()) for labels, series in family.items()]) for metric, family in chosen
            ]
        return [
            (metric, [(labels, value() if callable(value) else value) for labels, value in series])
            for metric, series in raw
        ]

    def listen(self, listener: Listener) -> None:
        """Tell ``listener`` of every metric there is, and of all to come."""
        with self.lock:
            known = list(self._families)
            self._listeners = (*self._listeners, listener)
        for metric in known:
            listener.metric_added(metric)

    def written(self, metric: Metric) -> None:
        """Count a write to a series of ``metric``; the lock is held."""
        if metric.phase is not Phase.EXPORT:
            self._version += 1

    def tell_observed(self, metric: Metric, labels: Labels, value: float, times: int) -> None:
        """Pass an observation to the listeners."""
        for listener in self._listeners:
            listener.observed(metric, labels, value, times)

    def _series(self, kind: type[_S], metric: Metric, attributes: dict[str, str]) -> _S:
        if _KINDS[metric.kind] is not kind:
            raise TypeError(f"{metric.name} is a {metric.kind.value}, not a {kind.__name__.lower()}")
        if attributes.keys() != set(metric.attributes):
            raise TypeError(f"{metric.name} takes the attributes {metric.attributes}, got {sorted(attributes)}")
        labels = tuple((key, attributes[key]) for key in metric.attributes)
        with self.lock:
            is_new = metric not in self._families
            family = self._families.setdefault(metric, {})
            series = family.get(labels)
            if series is None:
                series = family[labels] = kind(self, metric, labels)
            listeners = self._listeners if is_new else ()
        for listener in listeners:
            listener.metric_added(metric)
        assert isinstance(series, kind)  # noqa: S101 - for the type checker: the kind was compared above
        return series


def merge(states: Iterable[State], *, only: Metric | None = None) -> list[Family]:
    """Read several states as one, for an exit that serves them all.

    Where two have the same series, counts are added and of everything else the later state's value stands; its having
    none takes the series away.

    Args:
        states: The states, oldest first.
        only: Read just this metric.
    """
    merged: dict[Metric, dict[Labels, _Value]] = {}
    for state in states:
        for metric, series in state.series_now(only):
            values = merged.setdefault(metric, {})
            for labels, value in series:
                values[labels] = _added(metric.kind, values.get(labels), value)
    families = (
        Family(metric, tuple(Point(labels, value) for labels, value in values.items() if value is not None))
        for metric, values in merged.items()
    )
    return [family for family in families if family.points]


def _added(kind: Kind, before: _Value, value: _Value) -> _Value:
    if kind is Kind.COUNTER and isinstance(before, (int, float)) and isinstance(value, (int, float)):
        return before + value
    if kind is Kind.HISTOGRAM and isinstance(before, Distribution) and isinstance(value, Distribution):
        counts = tuple(left + right for left, right in zip(before.cumulative, value.cumulative, strict=True))
        return Distribution(value.bounds, counts, before.sum + value.sum)
    return value

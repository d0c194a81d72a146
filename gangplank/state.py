"""What is true now, in plain Python: gauges, counters and distributions, per series, behind one lock.

Adapters write here and every exit reads here, so that a fact has one value wherever it is looked at. Writing
costs a lock and an assignment; no exit is ever called from a write, except that a histogram's observation is passed
to listeners, as OpenTelemetry cannot take it any other way.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gangplank.catalogue import Kind, Metric, Phase
from gangplank.distribution import Distribution
from gangplank.series import KINDS, Counter, Gauge, Histogram, Labels, Series, Snapshot, Value

_S = TypeVar("_S", bound=Series)


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


_states: weakref.WeakSet[State] = weakref.WeakSet()


def _renew_locks() -> None:
    # A lock that another thread held at the moment of the fork would stay locked in the child for ever.
    for state in _states:
        state.lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_renew_locks)

_Run = tuple[Phase, str]
_run_numbers = itertools.count(1)


class State:
    """All series of one telemetry.

    Every method may be called from any thread.

    Attributes:
        lock: Held for every read and write. It is re-entrant, since a signal handler or a finalizer may write while
            its own thread is in the middle of a write.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._families: dict[Metric, dict[Labels, Series]] = {}
        self._listeners: tuple[Listener, ...] = ()
        self._versions: dict[tuple[Phase, bool], int] = {}
        self.runs: dict[_Run, int] = {}
        _states.add(self)

    @property
    def version(self) -> int:
        """A number that grows with every write, those about exporting aside."""
        return sum(number for (phase, _), number in self.versions().items() if phase is not Phase.EXPORT)

    def versions(self) -> dict[tuple[Phase, bool], int]:
        """Return a number for each phase, and for what is durable in it, that grows with every write there."""
        with self.lock:
            return dict(self._versions)

    def begin_run(self, phase: Phase, model: str) -> None:
        """Take away what an earlier run of that phase left of that model, but for counters and what is durable.

        Among several states that an exit shows together, such series count in the state of the newest run only.
        """
        run = phase, _encodable(model)
        with self.lock:
            self.runs[run] = next(_run_numbers)
        self.forget(lambda metric, attributes: _run_of(metric, attributes) == run)

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
                    self.written(metric)

    def read(self, *, only: Metric | None = None) -> list[Family]:
        """Return all families that have a value now, in the order in which they came.

        Args:
            only: Read just this metric.
        """
        return merge([self], only=only)

    def series_now(self, only: Metric | None = None) -> list[tuple[Metric, list[tuple[Labels, Value]]]]:
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
        kind = (metric.phase, metric.durable)
        self._versions[kind] = self._versions.get(kind, 0) + 1

    def tell_observed(self, metric: Metric, labels: Labels, value: float, times: int) -> None:
        """Pass an observation to the listeners."""
        for listener in self._listeners:
            listener.observed(metric, labels, value, times)

    def _series(self, kind: type[_S], metric: Metric, attributes: dict[str, str]) -> _S:
        if KINDS[metric.kind] is not kind:
            raise TypeError(f"{metric.name} is a {metric.kind.value}, not a {kind.__name__.lower()}")
        if attributes.keys() != set(metric.attributes):
            raise TypeError(f"{metric.name} takes the attributes {metric.attributes}, got {sorted(attributes)}")
        labels = tuple((key, _encodable(attributes[key])) for key in metric.attributes)
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

    Where two have the same series, counts are added, and of what is durable the greater value stands, as it is a time.
    Of what belongs to a run, the state in which the newest run of that model began has the say, also where it has
    nothing. Of anything else a later state's value stands.

    Args:
        states: The states, oldest first.
        only: Read just this metric.
    """
    states = tuple(states)
    newest: dict[_Run, int] = {}
    for state in states:
        for begun, number in state.runs.copy().items():
            newest[begun] = max(number, newest.get(begun, 0))
    merged: dict[Metric, dict[Labels, Value]] = {}
    for state in states:
        for metric, series in state.series_now(only):
            values = merged.setdefault(metric, {})
            for labels, value in series:
                run = _run_of(metric, dict(labels))
                if run is None or state.runs.get(run) == newest.get(run):
                    values[labels] = _together(metric, values.get(labels), value)
    families = (
        Family(metric, tuple(Point(labels, value) for labels, value in values.items() if value is not None))
        for metric, values in merged.items()
    )
    return [family for family in families if family.points]


def _run_of(metric: Metric, attributes: Mapping[str, str]) -> _Run | None:
    """Return the run that a series belongs to, if it ends with it."""
    if metric.durable or metric.kind in (Kind.COUNTER, Kind.HISTOGRAM) or "model" not in attributes:
        return None
    return metric.phase, attributes["model"]


def _together(metric: Metric, before: Value, value: Value) -> Value:
    if isinstance(before, (int, float)) and isinstance(value, (int, float)):
        if metric.kind is Kind.COUNTER:
            return before + value
        if metric.durable:
            return max(before, value)
    if metric.kind is Kind.HISTOGRAM and isinstance(before, Distribution) and isinstance(value, Distribution):
        counts = tuple(left + right for left, right in zip(before.cumulative, value.cumulative, strict=True))
        return Distribution(value.bounds, counts, before.sum + value.sum)
    return before if metric.durable and value is None else value


def _encodable(label: str) -> str:
    """Replace what UTF-8 cannot hold (half a surrogate pair, from a file's name), which no exit could write."""
    return label.encode("utf-8", "replace").decode()

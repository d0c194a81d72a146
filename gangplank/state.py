"""What is true now, in plain Python: gauges, counters and distributions, per series, behind one lock.

Adapters write here and every exit reads here, so that a fact has one value wherever it is looked at. Writing
costs a lock and an assignment; no exit is ever called from a write, except that a histogram's observation is passed
to listeners, as OpenTelemetry cannot take it any other way.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from gangplank.cells import Cells, Labels, Memory, Part, Storage
from gangplank.forks import in_child
from gangplank.lanes import Lanes
from gangplank.merging import Family, Run, Source, merge, run_of
from gangplank.metrics import Metric, Phase
from gangplank.naming import encodable
from gangplank.series import KINDS, Counter, Gauge, Histogram, Series, Snapshot, Value

_S = TypeVar("_S", bound=Series)


class Listener(Protocol):
    """Hears what cannot be learnt by reading the state."""

    def metric_added(self, metric: Metric) -> None:
        """Called before the first series of ``metric`` is written, without the state's lock."""
        ...

    def observed(self, metric: Metric, labels: Labels, value: float, times: int) -> None:
        """Called after a histogram took ``value`` ``times`` times, without the state's lock."""
        ...


_run_numbers = itertools.count(1)


class State:
    """All series of one telemetry.

    Every method may be called from any thread.

    Args:
        common: Labels of every series, behind its own.

    Attributes:
        lock: Held for every read and write, but for those of a thread's own lane. It is re-entrant, since a signal
            handler or a finalizer may write while its own thread is in the middle of a write.
        listeners: Those who hear of observations.
        runs: The runs whose series it has, each with a number that is greater the later it began.
        includes: No other source.
    """

    def __init__(self, common: Labels = ()) -> None:
        self.lock = threading.RLock()
        self._common = common
        self._families: dict[Metric, dict[Labels, Series]] = {}
        self.listeners: tuple[Listener, ...] = ()
        self._lanes: dict[Series, Lanes] = {}
        self._storage: Storage = Memory()
        self._versions: dict[tuple[Phase, bool], int] = {}
        self.runs: dict[Run, int] = {}
        self.includes: tuple[Source, ...] = ()
        _states.add(self)

    @property
    def is_shared(self) -> bool:
        """Whether it is kept where other processes can read it."""
        return not isinstance(self._storage, Memory)

    @property
    def version(self) -> int:
        """A number that grows with every write, those about exporting aside."""
        return sum(number for (phase, _), number in self.versions().items() if phase is not Phase.EXPORT)

    def versions(self) -> dict[tuple[Phase, bool], int]:
        """Return a number for each phase, and for what is durable in it, that grows with every write there."""
        with self.lock:
            versions = dict(self._versions)
            for lanes in self._lanes.values():
                key = lanes.phase, False
                versions[key] = versions.get(key, 0) + lanes.observations()
            return versions

    def begin_run(self, phase: Phase, model: str, rank: str | None = None) -> None:
        """Take away what an earlier run of that phase left of that model, but for counters and what is durable.

        Among several states that an exit shows together, such series count in the state of the newest run only.

        Args:
            phase: The phase.
            model: The model.
            rank: Which process of a distributed run this is, if it is one.
        """
        of_rank = () if rank is None else (("rank", rank),)
        run = phase, encodable(model), (*of_rank, *self._common)
        with self.lock:
            self.runs[run] = next(_run_numbers)
        self.forget(lambda metric, attributes: run_of(metric, attributes) == run)

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

    def lanes(self, *layout: tuple[Series, int]) -> Lanes:
        """Return the lanes of these series, made if need be.

        Args:
            layout: The series, and where in a lane's cells the share of each begins. The first tells these lanes from
                others.
        """
        with self.lock:
            first = layout[0][0]
            if first not in self._lanes:
                self._lanes[first] = Lanes(self, layout)
            return self._lanes[first]

    def forget(self, unwanted: Callable[[Metric, dict[str, str]], bool]) -> None:
        """Drop every series for which ``unwanted(metric, attributes)`` holds; its handles then write to nowhere."""
        with self.lock:
            for metric, family in self._families.items():
                for labels in [labels for labels in family if unwanted(metric, dict(labels))]:
                    self._let_go(family.pop(labels))

    def drop(self, metric: Metric, /, **attributes: str) -> None:
        """Drop one series, if it is there; its handle then writes to nowhere."""
        with self.lock:
            series = self._families.get(metric, {}).pop(self._labels(metric, attributes), None)
            if series is not None:
                self._let_go(series)

    def read(self, *, only: Metric | None = None) -> list[Family]:
        """Return all families that have a value now, in the order in which they came.

        Args:
            only: Read just this metric.
        """
        return merge([self], only=only)

    def series_now(self, only: Metric | None = None) -> list[tuple[Metric, list[tuple[Labels, Value]]]]:
        """Return the labels and the value of all series, or of those of one metric; None is that of one without."""
        with self.lock:
            chosen = list(self._families.items()) if only is None else [(only, self._families.get(only, {}))]
            raw = [
                (metric, [(labels, series.current()) for labels, series in family.items()]) for metric, family in chosen
            ]
        return [
            (metric, [(labels, value() if callable(value) else value) for labels, value in series])
            for metric, series in raw
        ]

    def metrics(self) -> list[Metric]:
        """Return all metrics that there are, with a value or without."""
        with self.lock:
            return list(self._families)

    def undefined(self) -> list[tuple[Metric, Labels, float]]:
        """Return the gauges of this process that have no value because they were set to one that is not finite."""
        with self.lock:
            return [
                (series.metric, series.labels, series.undefined)
                for series in self._each()
                if isinstance(series, Gauge) and series.undefined is not None
            ]

    def keep_in(self, storage: Storage) -> None:
        """Keep all series in ``storage`` from now on, those that there are included."""
        with self.lock:
            self._storage = storage
            for series in self._each():
                series.shares = ()
                series.move()
            for lanes in self._lanes.values():
                lanes.move()

    def write_computed(self) -> None:
        """Write the present value of all gauges that are computed when they are read: others read what is written."""
        with self.lock:
            computed = [series for series in self._each() if isinstance(series, Gauge)]
        for gauge in computed:
            gauge.write_computed()

    def leave_to_parent(self) -> None:
        """Forget what was copied of the parent in a fork and is the parent's to tell.

        That is inference, of which threads that are not in the child were in the middle. And where processes are shown
        together, it is everything.
        """
        # A lock that another thread held at the moment of the fork would stay locked in the child for ever.
        self.lock = threading.RLock()
        self._storage = self._storage.inherited()
        for series in self._each():
            if self.is_shared or series.metric.phase is Phase.PREDICT:
                series.leave()
        for lanes in self._lanes.values():
            lanes.leave()

    def start_over(self) -> None:
        """Forget all numbers; the series stay."""
        with self.lock:
            for series in self._each():
                series.leave()
            for lanes in self._lanes.values():
                lanes.leave()

    def allocate(self, *parts: Part) -> Cells:
        """Return cells to keep these parts in; the lock is held."""
        return self._storage.allocate(parts)

    def release(self, cells: Cells) -> None:
        """Take back cells that are no longer used; the lock is held."""
        self._storage.release(cells)

    def listen(self, listener: Listener) -> None:
        """Tell ``listener`` of every metric there is, and of all to come."""
        with self.lock:
            known = list(self._families)
            self.listeners = (*self.listeners, listener)
        for metric in known:
            listener.metric_added(metric)

    def written(self, metric: Metric) -> None:
        """Count a write to a series of ``metric``; the lock is held."""
        kind = (metric.phase, metric.durable)
        self._versions[kind] = self._versions.get(kind, 0) + 1

    def tell_observed(self, metric: Metric, labels: Labels, value: float, times: int) -> None:
        """Pass an observation to the listeners."""
        for listener in self.listeners:
            listener.observed(metric, labels, value, times)

    def _let_go(self, series: Series) -> None:
        cells = series.detach()
        if cells is not None:
            self._storage.release(cells)
        self.written(series.metric)

    def _each(self) -> Iterable[Series]:
        return (series for family in self._families.values() for series in family.values())

    def _labels(self, metric: Metric, attributes: dict[str, str]) -> Labels:
        if attributes.keys() - set(metric.optional) != set(metric.attributes):
            raise TypeError(f"{metric.name} takes the attributes {metric.attributes}, got {sorted(attributes)}")
        keys = (*metric.attributes, *metric.optional)
        return (*((key, encodable(attributes[key])) for key in keys if key in attributes), *self._common)

    def _series(self, kind: type[_S], metric: Metric, attributes: dict[str, str]) -> _S:
        if KINDS[metric.kind] is not kind:
            raise TypeError(f"{metric.name} is a {metric.kind.value}, not a {kind.__name__.lower()}")
        labels = self._labels(metric, attributes)
        with self.lock:
            is_new = metric not in self._families
            family = self._families.setdefault(metric, {})
            series = family.get(labels)
            if series is None:
                series = family[labels] = kind(self, metric, labels)
                series.keep()
            listeners = self.listeners if is_new else ()
        for listener in listeners:
            listener.metric_added(metric)
        assert isinstance(series, kind)  # noqa: S101 - for the type checker: the kind was compared above
        return series


_states = in_child(State.leave_to_parent)

"""State in Prometheus's terms: from families to prometheus_client's metrics, and a collector for a registry."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric as PrometheusMetric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from gangplank.catalogue import Kind
from gangplank.distribution import Distribution
from gangplank.state import Family, Point, State, merge


def to_prometheus(family: Family) -> PrometheusMetric:
    """Return ``family`` as prometheus_client's exposition takes it.

    Histograms are built sample by sample: prometheus_client's own class leaves out ``_sum`` and ``_count`` when a
    bound is negative, as bounds for weights are.
    """
    metric = family.metric
    name = metric.prometheus_name
    if metric.kind is Kind.COUNTER:
        name = name.removesuffix("_total")  # a family is called without; its sample is called with
    prometheus = PrometheusMetric(name, metric.description, metric.prometheus_type)
    for point in family.points:
        _add(prometheus, metric.prometheus_name, point)
    return prometheus


def _add(prometheus: PrometheusMetric, name: str, point: Point) -> None:
    labels = dict(point.labels)
    value = point.value
    if not isinstance(value, Distribution):
        prometheus.add_sample(name, labels, value)
        return
    for bound, count in zip((*value.bounds, math.inf), value.cumulative, strict=True):
        prometheus.add_sample(f"{name}_bucket", {**labels, "le": floatToGoString(bound)}, count)
    prometheus.add_sample(f"{name}_count", labels, value.count)
    prometheus.add_sample(f"{name}_sum", labels, value.sum)


class Families(Collector):
    """Families that were read, in the form of something to collect: what a push sends."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterator[PrometheusMetric]:
        """Yield the families."""
        return map(to_prometheus, self._families)


class StateCollector(Collector):
    """Shows states in a registry."""

    def __init__(self) -> None:
        self.states: tuple[State, ...] = ()

    def describe(self) -> Iterable[PrometheusMetric]:
        """Return nothing: which families there will be is not known when the registry asks."""
        return ()

    def collect(self) -> Iterator[PrometheusMetric]:
        """Yield what all states hold now."""
        return map(to_prometheus, merge(self.states))


# A registry has one collector of ours, for two would write the same family twice.
_collectors: weakref.WeakKeyDictionary[CollectorRegistry, StateCollector] = weakref.WeakKeyDictionary()
_registering = threading.Lock()


def show(state: State, registry: CollectorRegistry) -> None:
    """Show ``state`` in ``registry`` from now on."""
    with _registering:
        collector = _collectors.get(registry)
        if collector is None:
            collector = _collectors[registry] = StateCollector()
            registry.register(collector)
        collector.states = (*collector.states, state)


def hide(state: State, registry: CollectorRegistry) -> None:
    """Show ``state`` in ``registry`` no longer."""
    with _registering:
        collector = _collectors[registry]
        collector.states = tuple(shown for shown in collector.states if shown is not state)
        if not collector.states:
            registry.unregister(collector)
            del _collectors[registry]

"""State in Prometheus's terms: from families to prometheus_client's metrics, and a collector for a registry."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import Exemplar as PrometheusExemplar
from prometheus_client.core import Metric as PrometheusMetric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from gangplank.distribution import Distribution, Exemplar
from gangplank.locks import Lock
from gangplank.merging import Family, Point, Source, merge
from gangplank.metrics import Kind


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
    exemplars = {index: _exemplar(exemplar) for index, exemplar in value.exemplars}
    for index, (bound, count) in enumerate(zip((*value.bounds, math.inf), value.cumulative, strict=True)):
        le = {"le": floatToGoString(bound)}
        prometheus.add_sample(f"{name}_bucket", {**labels, **le}, count, exemplar=exemplars.get(index))
    prometheus.add_sample(f"{name}_count", labels, value.count)
    prometheus.add_sample(f"{name}_sum", labels, value.sum)


def _exemplar(exemplar: Exemplar) -> PrometheusExemplar:
    span = {"trace_id": exemplar.trace_id, "span_id": exemplar.span_id}
    return PrometheusExemplar(span, exemplar.value, exemplar.timestamp)


class Collected(Collector):
    """Metrics that are collected already, in the form of something to collect."""

    def __init__(self, metrics: Iterable[PrometheusMetric]) -> None:
        self._metrics = tuple(metrics)

    def collect(self) -> Iterator[PrometheusMetric]:
        """Yield the metrics."""
        return iter(self._metrics)


class SourceCollector(Collector):
    """Shows sources in a registry."""

    def __init__(self) -> None:
        self.sources: tuple[Source, ...] = ()

    def describe(self) -> Iterable[PrometheusMetric]:
        """Return nothing: which families there will be is not known when the registry asks."""
        return ()

    def shown(self) -> list[Source]:
        """Return the sources, each of them once, and none that another one includes."""
        sources = dict.fromkeys(self.sources)
        included = {one for source in sources for one in source.includes}
        return [source for source in sources if source not in included]

    def collect(self) -> Iterator[PrometheusMetric]:
        """Yield what all sources hold now."""
        return map(to_prometheus, merge(self.shown()))


# A registry has one collector of ours, for two would write the same family twice.
_collectors: weakref.WeakKeyDictionary[CollectorRegistry, SourceCollector] = weakref.WeakKeyDictionary()
_registering = Lock()


def shown(registry: CollectorRegistry) -> list[Source]:
    """Return what is shown in ``registry``."""
    collector = _collectors.get(registry)
    return [] if collector is None else collector.shown()


def show(source: Source, registry: CollectorRegistry) -> None:
    """Show ``source`` in ``registry`` from now on."""
    with _registering:
        collector = _collectors.get(registry)
        if collector is None:
            collector = _collectors[registry] = SourceCollector()
            registry.register(collector)
        collector.sources = (*collector.sources, source)


def hide(source: Source, registry: CollectorRegistry) -> None:
    """Take back one ``show`` of ``source`` in ``registry``."""
    with _registering:
        collector = _collectors[registry]
        sources = list(collector.sources)
        sources.remove(source)
        collector.sources = tuple(sources)
        if not sources:
            registry.unregister(collector)
            del _collectors[registry]

"""What an OpenTelemetry reader collects, made into Prometheus families.

OpenTelemetry's own Prometheus exporter translates names, units, labels, counters, gauges and histograms. It is given
one metric at a time: of several, it would take one scope's labels for another's. And it is given nothing that it fails
at: exponential histograms, and attributes that a histogram's own label would replace.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    ResourceMetrics,
)
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric as PrometheusMetric


class Translator(PrometheusMetricReader):
    """Translates what another reader collected. No provider has it.

    Args:
        with_resource: Translate the resource, to ``target_info``; else metrics.
    """

    def __init__(self, *, with_resource: bool) -> None:
        self._families = CollectorRegistry()
        super().__init__(disable_target_info=not with_resource, scope_info_enabled=False, registry=self._families)

    def collect(self, timeout_millis: float = 10_000) -> None:  # type: ignore[misc]  # pyright: ignore[reportIncompatibleMethodOverride] - final, but fed
        """Do nothing: what there is to translate is given to it."""

    def translate(self, data: MetricsData) -> list[PrometheusMetric]:
        """Return ``data`` as Prometheus families."""
        self._receive_metrics(data)
        return list(self._families.collect())


def families(data: MetricsData) -> Iterator[PrometheusMetric]:
    """Yield what was collected: each metric of each scope by itself, and ``target_info``."""
    of_resource, of_metrics = Translator(with_resource=True), Translator(with_resource=False)
    for resource in data.resource_metrics:
        yield from of_resource.translate(MetricsData([replace(resource, scope_metrics=[])]))
        for part in _apart(resource):
            yield from of_metrics.translate(MetricsData([part]))


def _apart(resource: ResourceMetrics) -> Iterator[ResourceMetrics]:
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            yield replace(resource, scope_metrics=[replace(scope, metrics=[_translatable(metric)])])


def _translatable(metric: Metric) -> Metric:
    points: Iterable[HistogramDataPoint]
    if isinstance(metric.data, ExponentialHistogram):
        points = map(_explicit, metric.data.data_points)
    elif isinstance(metric.data, Histogram):
        points = metric.data.data_points
    else:
        return metric
    return replace(metric, data=Histogram(list(map(_without_le, points)), metric.data.aggregation_temporality))


def _without_le(point: HistogramDataPoint) -> HistogramDataPoint:
    """Return a point without an attribute that is called as the label of its buckets."""
    if "le" not in (point.attributes or {}):
        return point
    return replace(
        point,
        attributes={f"exported_{key}" if key == "le" else key: of for key, of in (point.attributes or {}).items()},
    )


def _explicit(point: ExponentialHistogramDataPoint) -> HistogramDataPoint:
    """Return a point with the bounds that the specification gives exponential buckets.

    Bucket ``i`` at scale ``s`` holds what is above ``base**i`` and at most ``base**(i+1)``, with ``base = 2**2**-s``:
    https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram. Instruments take no negative
    values, and so there are no negative buckets. Bounds that no float can tell apart are one.
    """
    first = point.positive.offset
    bounds, counts = [_bound(first, point.scale)], [point.zero_count]
    for index, count in enumerate(point.positive.bucket_counts, first + 1):
        bound = _bound(index, point.scale)
        if bound > bounds[-1]:
            bounds.append(bound)
            counts.append(count)
        else:
            counts[-1] += count
    if bounds[-1] == math.inf:
        bounds.pop()
    else:
        counts.append(0)
    return HistogramDataPoint(
        attributes=point.attributes,
        start_time_unix_nano=point.start_time_unix_nano,
        time_unix_nano=point.time_unix_nano,
        count=point.count,
        sum=point.sum,
        bucket_counts=counts,
        explicit_bounds=bounds,
        min=point.min,
        max=point.max,
    )


def _bound(index: int, scale: int) -> float:
    try:
        return math.pow(2.0, index * 2.0**-scale)
    except OverflowError:
        return math.inf

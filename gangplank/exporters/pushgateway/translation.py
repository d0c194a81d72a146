"""What an OpenTelemetry reader collects, made into what a Pushgateway takes.

OpenTelemetry's own Prometheus exporter translates names, labels, counters, gauges and histograms. Here is what it
leaves open: exponential histograms, at which it fails, and Gangplank's distributions of weights, which pass through a
provider as gauges.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from opentelemetry.sdk.metrics.export import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from prometheus_client.core import Metric as PrometheusMetric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from gangplank.catalogue import CATALOGUE
from gangplank.exporters.pushgateway.groups import Member
from gangplank.exporters.snapshots import PARTS
from gangplank.metrics import Kind, Phase

_DURABLE = frozenset(row.prometheus_name for row in CATALOGUE if row.durable)
_SNAPSHOTS = {f"{row.name}_{part}": (row, part) for row in CATALOGUE if row.kind is Kind.SNAPSHOT for part in PARTS}


def with_explicit_buckets(data: MetricsData) -> MetricsData:
    """Return ``data`` with exponential histograms as histograms whose bounds are those of the buckets in use."""
    return replace(data, resource_metrics=[_of_resource(resource) for resource in data.resource_metrics])


def _of_resource(resource: ResourceMetrics) -> ResourceMetrics:
    scopes = [_of_scope(scope) for scope in resource.scope_metrics]
    return replace(resource, scope_metrics=scopes)


def _of_scope(scope: ScopeMetrics) -> ScopeMetrics:
    return replace(scope, metrics=[_of_metric(metric) for metric in scope.metrics])


def _of_metric(metric: Metric) -> Metric:
    if not isinstance(metric.data, ExponentialHistogram):
        return metric
    points = [_explicit(point) for point in metric.data.data_points]
    return replace(metric, data=Histogram(points, metric.data.aggregation_temporality))


def _explicit(point: ExponentialHistogramDataPoint) -> HistogramDataPoint:
    """Return a point with the bounds that the specification gives exponential buckets.

    Bucket ``i`` at scale ``s`` holds what is above ``base**i`` and at most ``base**(i+1)``, with ``base = 2**2**-s``:
    https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram. Instruments take no negative
    values, and so there are no negative buckets.
    """
    exponents = range(point.positive.offset, point.positive.offset + len(point.positive.bucket_counts) + 1)
    bounds = [2.0 ** (exponent * 2.0**-point.scale) for exponent in exponents]
    return HistogramDataPoint(
        attributes=point.attributes,
        start_time_unix_nano=point.start_time_unix_nano,
        time_unix_nano=point.time_unix_nano,
        count=point.count,
        sum=point.sum,
        bucket_counts=[point.zero_count, *point.positive.bucket_counts, 0],
        explicit_bounds=bounds,
        min=point.min,
        max=point.max,
    )


def members(metrics: Iterable[PrometheusMetric]) -> Iterator[Member]:
    """Yield metrics as members of groups, distributions of weights as histograms again."""
    parts: dict[str, dict[str, PrometheusMetric]] = defaultdict(dict)
    for metric in metrics:
        if metric.name in _SNAPSHOTS:
            row, part = _SNAPSHOTS[metric.name]
            parts[row.name][part] = metric
        else:
            yield _member(metric)
    for name, of_name in parts.items():
        yield _member(_histogram(name, of_name))


def _member(metric: PrometheusMetric) -> Member:
    prefix, _, rest = metric.name.partition("_")
    phase = next((phase for phase in Phase if prefix == "gangplank" and rest.startswith(phase.value)), None)
    return Member(phase, metric.name in _DURABLE, metric)


def _histogram(name: str, parts: dict[str, PrometheusMetric]) -> PrometheusMetric:
    row = next(row for row in CATALOGUE if row.name == name)
    histogram = PrometheusMetric(name, row.description, "histogram")
    for part, metric in parts.items():
        samples = [_part_of_histogram(sample) for sample in metric.samples]
        if part == "bucket":
            samples.sort(key=lambda sample: float(sample.labels["le"]))
        histogram.samples.extend(samples)
    return histogram


def _part_of_histogram(sample: Sample) -> Sample:
    labels = dict(sample.labels)
    if "le" in labels:
        labels["le"] = floatToGoString(float(labels["le"]))
    return Sample(sample.name, labels, sample.value)

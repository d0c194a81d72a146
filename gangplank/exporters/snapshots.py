"""Distributions of weights as true OpenTelemetry histograms, where we stand between a provider and its exporter.

A provider can only be given what its instruments take, and its Histogram takes no negative value. So a distribution
goes in as gauges, and comes out here, on its way to an exporter, as the histogram that it is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from gangplank.distribution import Distribution
from gangplank.merging import Family
from gangplank.metrics import Kind
from gangplank.state import State

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import HistogramDataPoint, Metric, MetricsData

PARTS = ("bucket", "count", "sum")
"""What the gauges are called behind the metric's name."""


def with_histograms(data: MetricsData, state: State) -> MetricsData:
    """Return ``data`` with each distribution in it as a histogram.

    Args:
        data: What a provider collected that shows nothing but ``state``.
        state: The state.
    """
    families = [family for family in state.read() if family.metric.kind is Kind.SNAPSHOT]
    gauges = {f"{family.metric.name}_{part}" for family in families for part in PARTS}
    if not gauges:
        return data
    resources = list(data.resource_metrics)
    for index, resource in enumerate(resources):
        scopes = [
            replace(scope, metrics=[*(one for one in scope.metrics if one.name not in gauges), *_histograms(families)])
            if any(one.name in gauges for one in scope.metrics)
            else scope
            for scope in resource.scope_metrics
        ]
        resources[index] = replace(resource, scope_metrics=scopes)
    return replace(data, resource_metrics=resources)


def _histograms(families: list[Family]) -> Iterator[Metric]:
    from opentelemetry.sdk.metrics.export import AggregationTemporality, Histogram, Metric  # noqa: PLC0415

    for family in families:
        points = [
            _point(dict(point.labels), point.value) for point in family.points if isinstance(point.value, Distribution)
        ]
        histogram = Histogram(points, AggregationTemporality.CUMULATIVE)
        yield Metric(family.metric.name, family.metric.description, family.metric.unit, histogram)


def _point(attributes: dict[str, str], distribution: Distribution) -> HistogramDataPoint:
    from opentelemetry.sdk.metrics.export import HistogramDataPoint  # noqa: PLC0415

    now = time.time_ns()
    return HistogramDataPoint(
        attributes=attributes,
        # Counts of a later snapshot may be lower, as after a start over: each is a series of its own.
        start_time_unix_nano=min(int(distribution.timestamp * 1e9), now),
        time_unix_nano=now,
        count=distribution.count,
        sum=distribution.sum,
        bucket_counts=[after - before for before, after in pairwise((0, *distribution.cumulative))],
        explicit_bounds=list(distribution.bounds),
        # OTLP leaves out what is None, as of a model without weights.
        min=distribution.least,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        max=distribution.greatest,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    )

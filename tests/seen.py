"""What arrived at a MeterProvider, as its reader has it."""

from __future__ import annotations

from opentelemetry.sdk.metrics.export import InMemoryMetricReader


class Seen:
    """What arrived at a provider.

    Args:
        reader: The provider's reader.
    """

    def __init__(self, reader: InMemoryMetricReader) -> None:
        self._reader = reader

    def value(self, name: str, **attributes: str) -> float | None:
        """Return the sum of the series of that name and attributes; None if there is none."""
        data = self._reader.get_metrics_data()
        points = [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
            if attributes.items() <= dict(point.attributes or {}).items()
        ]
        return sum(getattr(point, "value", getattr(point, "count", 0)) for point in points) if points else None

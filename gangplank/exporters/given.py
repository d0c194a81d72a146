"""Checks of the exporters that a telemetry is given."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gangplank.exporters.sdk import is_sdk_part


def checked(value: Any) -> list[Any]:  # noqa: ANN401
    """Return the exporters in ``value``.

    Raises:
        TypeError: it is no list, or not all of them are exporters.
    """
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"exporters must be a list of exporters, not {value!r}")
    given = list(value)
    for index, one in enumerate(given):
        if not (is_sdk_part(one) or is_exporter(one)):
            raise TypeError(
                f"exporters[{index}] must be a PrometheusExporter, a PushgatewayExporter, or a MetricReader or "
                f"MetricExporter of the OpenTelemetry SDK, not {one!r}"
            )
    return given


def is_exporter(candidate: object) -> bool:
    """Whether ``candidate`` can be started as an exit."""
    return not isinstance(candidate, type) and callable(getattr(candidate, "start", None))

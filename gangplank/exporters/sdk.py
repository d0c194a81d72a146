"""OpenTelemetry's own readers and exporters (OTLP, console, ...) as an exit: a MeterProvider that we build and end."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gangplank.errors import ExportError

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader


def is_sdk_part(candidate: object) -> bool:
    """Whether ``candidate`` is a MetricReader or MetricExporter of the OpenTelemetry SDK."""
    # Whoever holds one has imported the SDK, so that it need not be imported to find out.
    export = sys.modules.get("opentelemetry.sdk.metrics.export")
    return export is not None and isinstance(candidate, (export.MetricReader, export.MetricExporter))


class OwnProvider:
    """A MeterProvider of ours, with the readers and exporters that the user gave.

    Args:
        parts: SDK MetricReaders, and MetricExporters, which are exported to at the SDK's default interval
            (``OTEL_METRIC_EXPORT_INTERVAL``).
    """

    def __init__(self, parts: Sequence[Any]) -> None:
        from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - the core works without the SDK

        self.provider: MeterProvider = MeterProvider([_reader(part) for part in parts], shutdown_on_exit=False)
        self._closed = False

    def notify(self) -> None:
        """Do nothing: the readers collect at their own times."""

    def flush(self, timeout: float) -> None:
        """Export now.

        Raises:
            ExportError: it took longer than ``timeout`` seconds, or an exporter failed.
        """
        if not self.provider.force_flush(timeout * 1000):
            raise ExportError(f"an OpenTelemetry reader could not be flushed within {timeout} s")

    def close(self, timeout: float = 5.0) -> None:
        """Export for the last time and shut the provider down; give up after ``timeout`` seconds."""
        if self._closed:
            return
        self._closed = True
        # The SDK does not hold its own time limit when an endpoint is dead.
        ending = threading.Thread(target=self.provider.shutdown, name="gangplank-provider-close", daemon=True)
        try:
            ending.start()
        except RuntimeError:  # the interpreter is going down and starts no more threads
            self.provider.shutdown(timeout * 1000)
            return
        ending.join(timeout)


def _reader(part: Any) -> MetricReader:  # noqa: ANN401 - either of two SDK classes
    from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader  # noqa: PLC0415

    return part if isinstance(part, MetricReader) else PeriodicExportingMetricReader(part)

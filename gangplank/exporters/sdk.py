"""OpenTelemetry's own readers and exporters (OTLP, console, ...) as an exit: a MeterProvider that we build and end."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
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
        # The core works without the SDK.
        from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415

        readers = [_reader(part) for part in parts]
        self._periodic = [reader for reader in readers if isinstance(reader, PeriodicExportingMetricReader)]
        self.provider: MeterProvider = MeterProvider(readers, shutdown_on_exit=False)
        self._closed = False

    def notify(self) -> None:
        """Do nothing: the readers collect at their own times."""

    def flush(self, timeout: float) -> None:
        """Have every periodic reader export now. Whether an exporter then succeeds, the SDK logs and does not tell.

        Raises:
            ExportError: it took longer than ``timeout`` seconds, or a reader failed.
        """
        # Only the periodic ones: flushed, a Prometheus reader repeats every family at its next scrape.
        failures: list[Exception] = []

        def flush() -> None:
            for reader in self._periodic:
                try:
                    reader.force_flush(timeout * 1000)
                except Exception as error:  # noqa: BLE001 - raised by whoever waits, below
                    failures.append(error)

        if not _done_within(timeout, flush):
            raise ExportError(f"an OpenTelemetry reader could not be flushed within {timeout:.3g} s")
        if failures:
            raise ExportError(f"an OpenTelemetry reader could not be flushed: {failures[0]}") from failures[0]

    def close(self, timeout: float = 5.0) -> None:
        """Export for the last time and shut the provider down; give up after ``timeout`` seconds."""
        if self._closed:
            return
        self._closed = True
        _done_within(timeout, self.provider.shutdown)


def _done_within(timeout: float, work: Callable[[], None]) -> bool:
    """Do ``work`` on a thread and wait for it: the SDK does not hold its own time limits when an endpoint is dead."""
    worker = threading.Thread(target=work, name="gangplank-provider", daemon=True)
    try:
        worker.start()
    except RuntimeError:  # the interpreter is going down and starts no more threads
        work()
        return True
    worker.join(timeout)
    return not worker.is_alive()


def _reader(part: Any) -> MetricReader:  # noqa: ANN401 - either of two SDK classes
    from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader  # noqa: PLC0415

    return part if isinstance(part, MetricReader) else PeriodicExportingMetricReader(part)

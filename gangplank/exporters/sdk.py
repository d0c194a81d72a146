"""OpenTelemetry's own readers and exporters (OTLP, console, ...) as an exit: a MeterProvider that we build and end."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gangplank.errors import ExportError
from gangplank.exporters.snapshots import with_histograms
from gangplank.state import State

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader


def is_sdk_part(candidate: object) -> bool:
    """Whether ``candidate`` is a MetricReader or MetricExporter of the OpenTelemetry SDK."""
    # Whoever holds one has imported the SDK, so that it need not be imported to find out.
    export = sys.modules.get("opentelemetry.sdk.metrics.export")
    return export is not None and isinstance(candidate, (export.MetricReader, export.MetricExporter))


class OwnProvider:
    """A MeterProvider of ours, with the readers and exporters that the user gave.

    Args:
        parts: SDK MetricReaders, and MetricExporters, which are exported to at the SDK's default interval
            (``OTEL_METRIC_EXPORT_INTERVAL``). To these, distributions of weights are histograms.
        state: What the provider will show.
    """

    def __init__(self, parts: Sequence[Any], state: State) -> None:
        # The core works without the SDK.
        from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
        from opentelemetry.sdk.metrics.export import MetricReader  # noqa: PLC0415

        readers = [_reader(part, state) for part in parts]
        # Those that know how to: flushed, a Prometheus reader repeats every family at its next scrape.
        self._flushed = [one for one in readers if type(one).force_flush is not MetricReader.force_flush]
        self.provider: MeterProvider = MeterProvider(readers, shutdown_on_exit=False)
        self._end = threading.Event()
        # Ready from the start, since an interpreter that is going down starts no more threads. A thread at all, since
        # the SDK does not hold its own time limits.
        self._closer = threading.Thread(target=self._shut_down, name="gangplank-provider", daemon=True)
        self._closer.start()

    def notify(self) -> None:
        """Do nothing: the readers collect at their own times."""

    def flush(self, timeout: float) -> None:
        """Have every reader that exports by itself do so now. Whether that succeeds, the SDK logs and does not tell.

        Raises:
            ExportError: it took longer than ``timeout`` seconds, or a reader failed.
        """
        failures: list[Exception] = []

        def flush() -> None:
            for reader in self._flushed:
                try:
                    if reader.force_flush(timeout * 1000) is False:
                        failures.append(ExportError(f"{reader!r} could not deliver"))
                except Exception as error:  # noqa: BLE001 - raised by whoever waits, below
                    failures.append(error)

        flushing = threading.Thread(target=flush, name="gangplank-provider-flush", daemon=True)
        flushing.start()
        flushing.join(timeout)
        if flushing.is_alive():
            raise ExportError(f"an OpenTelemetry reader could not be flushed within {timeout:.3g} s")
        if failures:
            raise ExportError(f"an OpenTelemetry reader could not be flushed: {failures[0]}") from failures[0]

    def begin_close(self) -> None:
        """Begin to export for the last time and to shut the provider down."""
        self._end.set()

    def close(self, timeout: float = 5.0) -> None:
        """Export for the last time and shut the provider down; give up after ``timeout`` seconds."""
        self.begin_close()
        self._closer.join(timeout)

    def _shut_down(self) -> None:
        self._end.wait()
        self.provider.shutdown()


def _periodic_reader(exporter: MetricExporter, state: State) -> MetricReader:
    from opentelemetry.sdk.metrics.export import MetricsData, PeriodicExportingMetricReader  # noqa: PLC0415

    pid = os.getpid()

    class OfThisProcess(PeriodicExportingMetricReader):
        """The SDK restarts its readers in a forked child, which would export its parent's state as its own."""

        def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: object) -> None:
            if os.getpid() == pid:
                super()._receive_metrics(with_histograms(metrics_data, state), timeout_millis, **kwargs)

    return OfThisProcess(exporter)


def _reader(part: Any, state: State) -> MetricReader:  # noqa: ANN401 - either of two SDK classes
    from opentelemetry.sdk.metrics.export import MetricReader  # noqa: PLC0415

    return part if isinstance(part, MetricReader) else _periodic_reader(part, state)

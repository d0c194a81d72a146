"""OpenTelemetry's own readers and exporters as exits, in a provider that is ours to end."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from prometheus_client import CollectorRegistry, generate_latest

from gangplank import ExportError, Telemetry
from gangplank.catalogue import metric, model_metric
from gangplank.distribution import Distribution
from gangplank.metrics import Phase

LOSS = model_metric(Phase.TRAIN, "loss")
WEIGHTS = metric(Phase.TRAIN, "model_weights")


class Endpoint(MetricExporter):
    """An exporter whose endpoint answers as it is told, and only while it is not held."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: MetricExportResult | Exception = MetricExportResult.SUCCESS
        self.held = threading.Event()
        self.held.set()
        self.exports = 0
        self.ended = threading.Event()

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Take the data."""
        self.held.wait()
        self.exports += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Hold nothing back."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Note it."""
        self.ended.set()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """An endpoint, let go of at the end."""
    endpoint = Endpoint()
    yield endpoint
    endpoint.held.set()


def names(reader: InMemoryMetricReader) -> set[str]:
    """Collect, and return the names of the metrics."""
    data = reader.get_metrics_data()
    return {
        found.name
        for resource in (data.resource_metrics if data else [])
        for scope in resource.scope_metrics
        for found in scope.metrics
    }


def test_an_exporter_is_exported_to_at_the_end() -> None:
    """Whatever the interval, what was true last is exported before the program goes on."""
    out = io.StringIO()
    with Telemetry(exporters=[ConsoleMetricExporter(out)]) as telemetry:
        telemetry.state.gauge(LOSS, model="a").set(0.5)
    data = json.loads(out.getvalue())
    [found] = data["resource_metrics"][0]["scope_metrics"][0]["metrics"]
    assert found["name"] == "gangplank_train_loss"
    [point] = found["data"]["data_points"]
    assert (point["attributes"], point["value"]) == ({"model": "a"}, 0.5)


def test_a_reader_reads_until_the_telemetry_is_closed() -> None:
    """Its provider is ours: it is shut down, and with it the reader."""
    reader = InMemoryMetricReader()
    with Telemetry(exporters=[reader]) as telemetry:
        telemetry.state.gauge(LOSS, model="a").set(0.5)
        assert names(reader) == {"gangplank_train_loss"}
    out = io.StringIO()
    periodic = PeriodicExportingMetricReader(ConsoleMetricExporter(out))
    with Telemetry(exporters=[periodic]) as telemetry:
        telemetry.state.gauge(LOSS, model="a").set(0.5)
    assert out.getvalue().count("gangplank_train_loss") == 1
    assert "OtelPeriodicExportingMetricReader" not in {thread.name for thread in threading.enumerate()}


def test_a_provider_given_beside_is_joined_too_and_not_ended() -> None:
    """What is not ours goes on to show the final values."""
    theirs, own = InMemoryMetricReader(), InMemoryMetricReader()
    provider = MeterProvider([theirs], shutdown_on_exit=False)
    with Telemetry(exporters=[own], meter_provider=provider) as telemetry:
        telemetry.state.gauge(LOSS, model="a").set(0.5)
        assert names(own) == {"gangplank_train_loss"}
    assert names(theirs) == {"gangplank_train_loss"}
    provider.shutdown()


def test_flush_exports_now(endpoint: Endpoint) -> None:
    """Without waiting for the interval."""
    with Telemetry(exporters=[endpoint]) as telemetry:
        telemetry.state.gauge(LOSS, model="a").set(0.5)
        telemetry.flush()
        assert endpoint.exports == 1
    assert endpoint.exports == 2
    assert endpoint.ended.is_set()


def test_flush_says_that_a_reader_failed() -> None:
    """With an ExportError, not with whatever the SDK makes of it."""

    class Broken(PeriodicExportingMetricReader):
        def force_flush(self, timeout_millis: float = 10_000) -> bool:
            raise ValueError("broken")

    reader = Broken(ConsoleMetricExporter(io.StringIO()))
    with Telemetry(exporters=[reader]) as telemetry, pytest.raises(ExportError, match="broken"):
        telemetry.flush()


def test_flush_is_bounded(endpoint: Endpoint) -> None:
    """The SDK hands its time limit to the exporter, and waits for ever if that does not hold it."""
    caught: list[BaseException] = []
    endpoint.held.clear()
    telemetry = Telemetry(exporters=[endpoint])
    telemetry.start()
    telemetry.state.gauge(LOSS, model="a").set(0.5)

    def flush() -> None:
        try:
            telemetry.flush(timeout=0.2)
        except ExportError as error:
            caught.append(error)

    flushing = threading.Thread(target=flush, daemon=True)
    flushing.start()
    flushing.join(5)
    was_bounded = not flushing.is_alive()
    endpoint.held.set()
    flushing.join()
    telemetry.close()
    assert was_bounded
    assert len(caught) == 1


def test_close_is_bounded(endpoint: Endpoint) -> None:
    """An endpoint that hangs does not hold up the end of a program."""
    endpoint.held.clear()
    telemetry = Telemetry(exporters=[endpoint])
    telemetry.start()
    telemetry.state.gauge(LOSS, model="a").set(0.5)
    began = time.monotonic()
    telemetry.close(timeout=0.2)
    assert time.monotonic() - began < 10
    assert endpoint.exports == 0
    endpoint.held.set()
    assert endpoint.ended.wait(10)


def test_flush_does_not_make_a_scrape_repeat_itself() -> None:
    """A flushed PrometheusMetricReader would print every family once a flush, old values first."""
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(registry=registry)
    with Telemetry(exporters=[reader]) as telemetry:
        loss = telemetry.state.gauge(LOSS, model="a")
        for value in (0.5, 0.25):
            loss.set(value)
            telemetry.flush()
        text = generate_latest(registry).decode()
    assert text.count("# TYPE gangplank_train_loss gauge") == 1
    assert " 0.25\n" in text


class Kept(Endpoint):
    """An endpoint that keeps what came last."""

    def __init__(self) -> None:
        super().__init__()
        self.metrics: dict[str, Any] = {}

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Keep the data of every metric, by name."""
        self.metrics = {
            one.name: one.data
            for resource in metrics_data.resource_metrics
            for scope in resource.scope_metrics
            for one in scope.metrics
        }
        return super().export(metrics_data, timeout_millis, **kwargs)


def test_a_distribution_of_weights_is_a_true_histogram_to_an_exporter() -> None:
    """Buckets, sum, count and extremes are those of the state, negatives included, and no gauges say the same again."""
    kept = Kept()
    with Telemetry(exporters=[kept]) as telemetry:
        state = telemetry.state
        state.gauge(LOSS, model="net").set(0.5)
        state.snapshot(WEIGHTS, model="net").set(Distribution((-0.3, 0.0, 0.3), (1, 3, 3, 5), -1.25, -1.5, 0.75))
        telemetry.flush()
        (point,) = kept.metrics["gangplank_train_model_weights"].data_points
        assert dict(point.attributes) == {"model": "net"}
        assert (point.explicit_bounds, point.bucket_counts) == ([-0.3, 0.0, 0.3], [1, 2, 0, 2])
        assert (point.count, point.sum, point.min, point.max) == (5, -1.25, -1.5, 0.75)
        assert set(kept.metrics) == {"gangplank_train_loss", "gangplank_train_model_weights"}
        state.snapshot(WEIGHTS, model="net").set(Distribution((-0.3, 0.0, 0.3), (0, 0, 0, 0), 0.0))
    (later,) = kept.metrics["gangplank_train_model_weights"].data_points
    assert (later.count, later.min, later.max) == (0, None, None)
    assert point.time_unix_nano <= later.start_time_unix_nano <= later.time_unix_nano

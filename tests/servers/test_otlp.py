"""One run at every exit: OTLP by gRPC and by HTTP, a scrape and a real Pushgateway say the same."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import otlp
import pytest
import realservers
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.sdk.metrics.export import MetricExporter
from otlp import Receiver, Values
from prometheus_client.parser import text_string_to_metric_families

from gangplank import PrometheusExporter, PushgatewayExporter, Telemetry, summarize_weights
from gangplank.metrics import Phase
from gangplank.runs import Run
from gangplank.testing import ManualClock
from gangplank.training import TrainingRun

MODEL = 'a "model"\\n'
BOUNDS = (-0.25, 0.0, 0.25)
WEIGHTS = [-2.0, -0.25, -0.125, 0.0, 0.25, 7.5]
OF_GROUP = {"job", "instance", "phase"}


@pytest.fixture
def http() -> Iterator[Receiver]:
    """A receiver by HTTP."""
    with otlp.over_http() as receiver:
        yield receiver


@pytest.fixture
def grpc() -> Iterator[Receiver]:
    """A receiver by gRPC."""
    with otlp.over_grpc() as receiver:
        yield receiver


def _http_exporter(receiver: Receiver, **options: Any) -> MetricExporter:
    return HttpExporter(receiver.endpoint, timeout=5, **options)


def _grpc_exporter(receiver: Receiver, **options: Any) -> MetricExporter:
    return GrpcExporter(receiver.endpoint, insecure=True, timeout=5, **options)


WAYS = pytest.mark.parametrize(
    ("over", "exporter_to"), [(otlp.over_http, _http_exporter), (otlp.over_grpc, _grpc_exporter)], ids=["http", "grpc"]
)
Over = Callable[[], AbstractContextManager[Receiver]]
ExporterTo = Callable[..., MetricExporter]


def _weigh(run: Run, weights: list[float]) -> None:
    run.weights(summarize_weights([np.array(weights, dtype="float32")], BOUNDS))


def _train(telemetry: Telemetry) -> None:
    run = TrainingRun(telemetry, MODEL)
    run.parameters(6)
    run.info(keras="3", backend="jax", gangplank="1", python="3")
    for epoch in range(2):
        run.begin_epoch()
        for step in range(3):
            telemetry.clock.advance(0.125 * (step + 1))  # type: ignore[attr-defined]
            run.step_to(step + 1)
        run.learning_rate(0.5**epoch)
        logs = [("loss", 0.1 + epoch), ("a/b", 1e-300), ("Ünï", -3.0), ("big", 1.7e308), ("mae", float("nan"))]
        run.end_epoch(epoch + 1, logs)
    _weigh(run, WEIGHTS)
    run.end()


def _evaluate(telemetry: Telemetry) -> None:
    run = Run(telemetry, Phase.TEST, MODEL)
    run.parameters(6)
    _weigh(run, [0.5])
    run.end()


def _of_page(page: str) -> Values:
    """Return what a page in Prometheus's format says of runs, without the labels of groups."""
    values: Values = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name.startswith(("gangplank_train_", "gangplank_test_")):
                labels = {name: value for name, value in sample.labels.items() if name not in OF_GROUP}
                key = sample.name, otlp.bounded(labels.items())
                assert key not in values, key
                values[key] = sample.value
    return values


def _of_runs(receiver: Receiver) -> Values:
    return {key: value for key, value in receiver.values().items() if not key[0].startswith("gangplank_export_")}


def test_all_exits_agree(gateway: realservers.Gateway, http: Receiver, grpc: Receiver) -> None:
    """Every series of a training and an evaluation, histograms bucket by bucket, is the same at all four."""
    exporters = [
        _grpc_exporter(grpc),
        PrometheusExporter(port=0),
        PushgatewayExporter(gateway.address, "otlp"),
        _http_exporter(http),
    ]
    with Telemetry(exporters=exporters, clock=ManualClock()) as telemetry:
        _train(telemetry)
        _evaluate(telemetry)
        telemetry.flush()
        scrape = next(handle.url for handle in telemetry.handles if hasattr(handle, "url"))
        scraped = _of_page(realservers.get(scrape))
        assert _of_page(realservers.get(f"{gateway.url}/metrics")) == scraped
        assert _of_runs(http) == scraped
        assert _of_runs(grpc) == scraped
    assert _of_runs(http) == _of_runs(grpc) == scraped, "what was exported last differs"
    names = {name for name, _ in scraped}
    assert {"gangplank_train_loss", "gangplank_train_steps_total", "gangplank_train_info"} <= names
    assert {"gangplank_train_step_duration_seconds_bucket", "gangplank_test_model_weights_bucket"} <= names
    assert not any(name.startswith("gangplank_train_mae") for name in names), "NaN is shown at an older value"
    assert scraped["gangplank_train_big", frozenset({("model", MODEL)})] == 1.7e308


@WAYS
def test_weights_are_true_histograms(over: Over, exporter_to: ExporterTo) -> None:
    """With their own bounds, negative ones too, the count, the sum, and the extremes."""
    with over() as receiver:
        with Telemetry(exporters=[exporter_to(receiver)], clock=ManualClock()) as telemetry:
            _train(telemetry)
        metrics = receiver.metrics()
        assert not {f"gangplank_train_model_weights_{part}" for part in ("bucket", "count", "sum")} & metrics.keys()
        metric = metrics["gangplank_train_model_weights"]
        assert metric.WhichOneof("data") == "histogram"
        (point,) = metric.histogram.data_points
        assert list(point.explicit_bounds) == list(BOUNDS)
        assert list(point.bucket_counts) == [2, 2, 1, 1]  # a bound belongs to the bucket below it
        assert point.count == sum(point.bucket_counts) == len(WEIGHTS)
        assert point.sum == sum(WEIGHTS)
        assert (point.min, point.max) == (min(WEIGHTS), max(WEIGHTS))
        assert 0 < point.start_time_unix_nano <= point.time_unix_nano
        assert otlp.labels_of(point.attributes) == {("model", MODEL)}
        assert metric.histogram.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE


@WAYS
def test_counters_and_durations_are_what_otlp_has_for_them(over: Over, exporter_to: ExporterTo) -> None:
    """Counters are monotonic sums, durations histograms in seconds, everything else a gauge."""
    with over() as receiver:
        with Telemetry(exporters=[exporter_to(receiver)], clock=ManualClock()) as telemetry:
            _train(telemetry)
        metrics = receiver.metrics()
        steps = metrics["gangplank_train_steps"].sum
        assert steps.is_monotonic
        assert steps.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        durations = metrics["gangplank_train_step_duration"]
        assert durations.unit == "s"
        (point,) = durations.histogram.data_points
        assert (point.count, point.sum) == (6, 1.5)
        assert metrics["gangplank_train_loss"].WhichOneof("data") == "gauge"
        assert all(metric.description for metric in metrics.values())


@WAYS
def test_a_later_run_has_a_histogram_of_its_own(over: Over, exporter_to: ExporterTo) -> None:
    """Its counts may be lower than those before: it begins later, so that nobody takes it for the same series."""
    with over() as receiver, Telemetry(exporters=[exporter_to(receiver)], clock=ManualClock()) as telemetry:
        points = []
        for weights in (WEIGHTS, [1.0]):
            run = TrainingRun(telemetry, MODEL)
            _weigh(run, weights)
            run.end()
            telemetry.flush()
            points += receiver.metrics()["gangplank_train_model_weights"].histogram.data_points
        first, second = points
        assert (first.count, second.count) == (6, 1)
        assert second.start_time_unix_nano > first.start_time_unix_nano


@WAYS
def test_what_the_environment_prefers_leaves_weights_as_they_are(
    over: Over, exporter_to: ExporterTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exponential buckets and deltas are for durations; weights have the bounds that were asked for."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "DELTA")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram")
    with over() as receiver:
        with Telemetry(exporters=[exporter_to(receiver)], clock=ManualClock()) as telemetry:
            _train(telemetry)
        metrics = receiver.metrics()
        (point,) = metrics["gangplank_train_model_weights"].histogram.data_points
        assert list(point.bucket_counts) == [2, 2, 1, 1]
        durations = metrics["gangplank_train_step_duration"]
        assert durations.WhichOneof("data") == "exponential_histogram"
        assert sum(one.count for one in durations.exponential_histogram.data_points) == 6


@WAYS
def test_a_receiver_that_refuses_harms_nobody_else(
    over: Over, exporter_to: ExporterTo, gateway: realservers.Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    """The gateway has the run, training has not noticed, and once it accepts, it is sent the newest state."""
    with over() as receiver:
        receiver.refuses = True
        exporters = [exporter_to(receiver), PushgatewayExporter(gateway.address, "otlp")]
        with Telemetry(exporters=exporters, clock=ManualClock()) as telemetry, caplog.at_level(logging.CRITICAL):
            _train(telemetry)
            telemetry.flush()
            assert not receiver.requests
            assert gateway.value("gangplank_train_epochs_count", model=MODEL) == 2
            receiver.refuses = False
        assert receiver.values()["gangplank_train_epochs_count", frozenset({("model", MODEL)})] == 2

"""Groups at a real Pushgateway of what a reader pushes: runs as by an exporter, and what else a provider has."""

from __future__ import annotations

import numpy as np
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import View
from pushes import NEVER
from realservers import Gateway
from trainings import LOSS, samples, telemetry_for, train

from gangplank import PushgatewayExporter, PushgatewayMetricReader, Telemetry, summarize_weights
from gangplank.metrics import Phase
from gangplank.runs import Run
from gangplank.testing import ManualClock


@pytest.fixture
def provider(gateway: Gateway) -> MeterProvider:
    """A provider whose reader pushes for the job ``read``."""
    reader = PushgatewayMetricReader(gateway.address, "read", interval=NEVER)
    return MeterProvider([reader], shutdown_on_exit=False)


def test_a_run_is_the_same_through_a_reader(gateway: Gateway, provider: MeterProvider) -> None:
    """Every name, type, label, group and value; and neither is refused for what the other pushed."""
    exporter = PushgatewayExporter(gateway.address, "exported", interval=NEVER)
    with Telemetry(exporters=[exporter], meter_provider=provider, clock=ManualClock()) as telemetry:
        train(telemetry, metrics={"loss": 0.1, "a": 1e-300, "b": -3.0})
        run = Run(telemetry, Phase.TEST, 'the "other"\n')
        run.weights(summarize_weights([np.array([0.5], dtype="float32")], (-1.0, 1.0)))
        run.end()
        telemetry.flush()
        assert provider.force_flush()
        read = {key: value for key, value in samples(gateway, "read").items() if key[0] != "target_info"}
        exported = samples(gateway, "exported")
    provider.shutdown()
    assert exported
    assert read == exported
    assert {value for _, value in gateway.series("push_failure_time_seconds")} == {0}
    assert ("gangplank_train_model_weights_count", "histogram") in {(name, kind) for name, kind, _ in read}


def test_foreign_metrics_beside_ours(gateway: Gateway, provider: MeterProvider) -> None:
    """They go to the job's own group, ours to those of runs; what clashes with the group's labels is renamed."""
    with Telemetry(meter_provider=provider, clock=ManualClock()) as telemetry:
        meter = provider.get_meter("shop", attributes={"scope": "x"})
        meter.create_counter("orders").add(3, {"job": "baker", "kind": "bread"})
        meter.create_histogram("wait", "s").record(0.25)
        meter.create_up_down_counter("queue").add(-2, {"phase": "train", "model": "T"})
        train(telemetry)
        assert provider.force_flush()
        assert gateway.value("orders_total", job="read", exported_job="baker", kind="bread") == 3
        assert gateway.value("wait_seconds_sum", job="read") == 0.25
        assert gateway.value("queue", job="read", phase="train", model="T") == -2
        assert gateway.value(LOSS, job="read", phase="train") == 0.5
        ((labels, _),) = gateway.series("orders_total")
        assert "phase" not in labels
        assert not {name for name in labels if name.startswith("otel_scope")}
    provider.shutdown()
    assert gateway.value("orders_total", job="read") == 3
    assert gateway.value(LOSS, job="read") == 0.5


def test_a_model_without_a_name_through_a_reader(gateway: Gateway, provider: MeterProvider) -> None:
    """OpenTelemetry leaves an empty attribute out, which harms neither it nor what is pushed with it."""
    with Telemetry(meter_provider=provider, clock=ManualClock()) as telemetry:
        provider.get_meter("shop").create_counter("orders").add(3)
        train(telemetry, "")
        assert provider.force_flush()
    provider.shutdown()
    assert gateway.value(LOSS, job="read") == 0.5
    assert gateway.value("orders_total", job="read") == 3


def test_a_view_that_drops_the_model(gateway: Gateway) -> None:
    """Somebody's provider may leave out an attribute: the push, of everything else above all, goes on."""
    reader = PushgatewayMetricReader(gateway.address, "read", interval=NEVER)
    views = [View(instrument_name="gangplank_*", attribute_keys={"outcome"})]
    provider = MeterProvider([reader], views=views, shutdown_on_exit=False)
    with Telemetry(meter_provider=provider, clock=ManualClock()) as telemetry:
        provider.get_meter("shop").create_counter("orders").add(3)
        train(telemetry)
        assert reader.force_flush()
    provider.shutdown()
    assert gateway.value("orders_total", job="read") == 3
    assert gateway.value(LOSS, job="read", phase="train") == 0.5


def test_a_reader_leaves_the_groups_of_another_process(gateway: Gateway, provider: MeterProvider) -> None:
    """A process that only has metrics of its own, of the same job, takes away no run's."""
    with telemetry_for(gateway, "read") as telemetry:
        train(telemetry)
    provider.get_meter("shop").create_counter("orders").add(3)
    assert provider.force_flush()
    provider.shutdown()
    assert gateway.value("orders_total", job="read") == 3
    assert gateway.value(LOSS, job="read") == 0.5

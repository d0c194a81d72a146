"""The push exit of a MeterProvider: what of it lands where, and what a gateway is never sent."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from pushes import BASE, LOSS, NEVER, TEST, TEST_LOSS, TRAIN, Pushed, last, series, values

from gangplank import ExportError, PushgatewayMetricReader, Telemetry
from gangplank.catalogue import metric
from gangplank.metrics import Phase
from gangplank.testing import FakeGateway


def test_each_thing_lands_in_its_group(pushed: Pushed) -> None:
    """Gangplank's as from a telemetry's own exporter, and the rest with the export's numbers by PUT."""
    telemetry = Telemetry(meter_provider=pushed.provider)
    telemetry.start()
    telemetry.state.gauge(LOSS, model="net").set(0.5)
    telemetry.state.gauge(TEST_LOSS, model="net").set(0.75)
    telemetry.state.gauge(metric(Phase.TRAIN, "last_success_timestamp"), model="net").set(1)
    pushed.meter.create_counter("requests").add(3, {"route": "/"})
    pushed.provider.shutdown()
    telemetry.close()
    requests = pushed.gateway.requests
    assert [(request.method, request.path) for request in requests] == [
        ("PUT", TRAIN),
        ("POST", f"{BASE}/model/net"),
        ("PUT", TEST),
        ("PUT", BASE),
    ]
    assert values(requests[0]) == {"gangplank_train_loss": 0.5}
    assert values(requests[1]) == {"gangplank_train_last_success_timestamp_seconds": 1}
    assert values(requests[2]) == {"gangplank_test_loss": 0.75}
    assert series(requests[3]) == {("requests_total", (("route", "/"),)): 3}
    assert 'gangplank_export_pushes_total{result="success"} 3.0\n' in requests[3].body
    assert "otel_scope" not in "".join(request.body for request in requests)


def test_by_post_if_asked(pushing: Callable[..., Pushed]) -> None:
    """Everywhere."""
    pushed = pushing(method="POST")
    pushed.meter.create_counter("requests").add(3)
    pushed.provider.shutdown()
    assert {request.method for request in pushed.gateway.requests} == {"POST"}


def test_nothing_but_the_resource_is_not_pushed(pushed: Pushed) -> None:
    """A process that has measured nothing must not replace what another has."""
    assert pushed.reader.force_flush()
    pushed.meter.create_counter("requests")
    assert pushed.reader.force_flush()
    pushed.provider.shutdown()
    assert pushed.gateway.requests == []


def test_a_reader_of_no_provider_pushes_nothing(fake_gateway: FakeGateway, caplog: pytest.LogCaptureFixture) -> None:
    """And complains of nothing."""
    reader = PushgatewayMetricReader(fake_gateway.address, "mnist", interval=NEVER)
    assert reader.force_flush()
    reader.shutdown()
    assert fake_gateway.requests == []
    assert caplog.records == []


def test_collecting_by_hand_does_not_count_twice(pushed: Pushed) -> None:
    """``collect`` is a reader's public method; what it collects is not added to the next push."""
    pushed.meter.create_counter("requests").add(3)
    pushed.meter.create_histogram("h").record(1)
    pushed.reader.collect()
    pushed.reader.collect()
    found = pushed.series()
    assert (found["requests_total", ()], found["h_count", ()]) == (3, 1)


def test_metrics_that_are_gone_for_a_moment_wipe_nothing_of_the_exports(pushed: Pushed) -> None:
    """No body is ever empty, and what is shown is what is true: observations that are no more are not shown."""
    present = [3.0]
    pushed.meter.create_observable_gauge("depth", [lambda _: [Observation(value) for value in present]])
    assert pushed.series() == {("depth", ()): 3}
    present.clear()
    assert pushed.series() == {}
    assert all(request.body.strip() for request in pushed.gateway.requests)


def test_a_callback_that_raises_does_not_keep_the_rest(pushed: Pushed) -> None:
    """Nor one that yields what is no number."""

    def failing(_: CallbackOptions) -> list[Observation]:
        raise RuntimeError("whatever")

    pushed.meter.create_observable_gauge("broken", [failing])
    pushed.meter.create_observable_gauge("odd", [lambda _: [Observation(float("nan"))]])
    pushed.meter.create_counter("requests").add(3)
    assert pushed.series()["requests_total", ()] == 3


def test_given_beside_another_reader(fake_gateway: FakeGateway) -> None:
    """Neither takes from the other, and a snapshot of the one is not one of the other."""
    memory = InMemoryMetricReader()
    reader = PushgatewayMetricReader(fake_gateway.address, "mnist", interval=NEVER)
    provider = MeterProvider([memory, reader], shutdown_on_exit=False)
    provider.get_meter("app").create_counter("requests").add(3)
    assert provider.force_flush()
    data: Any = memory.get_metrics_data()
    assert data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0].value == 3
    assert last(fake_gateway.requests, BASE)["requests_total"] == 3
    provider.shutdown()


JOBS: list[tuple[dict[str, Any], str]] = [
    ({"service.name": "shop"}, "/metrics/job/shop"),
    ({"service.name": "shop", "service.namespace": "team"}, "/metrics/job@base64/dGVhbS9zaG9w"),
    ({}, "/metrics/job/unknown_service"),
    ({"service.name": ""}, "/metrics/job/unknown_service"),
    ({"service.name": "..", "service.namespace": ""}, "/metrics/job@base64/Li4="),
]


@pytest.mark.parametrize(("resource", "path"), JOBS)
def test_the_job_is_that_of_the_resource(pushing: Callable[..., Pushed], resource: dict[str, Any], path: str) -> None:
    """If nothing else is said."""
    pushed = pushing(job=None, resource=resource)
    pushed.meter.create_counter("requests").add(3)
    pushed.provider.shutdown()
    assert [request.path for request in pushed.gateway.requests] == [path]


def test_a_resource_that_no_path_can_hold(pushing: Callable[..., Pushed]) -> None:
    """It is pushed all the same, under what can be held of it."""
    pushed = pushing(job=None, resource={"service.name": "caf\udce9"})
    pushed.meter.create_counter("requests").add(3)
    assert pushed.reader.force_flush()
    pushed.provider.shutdown()
    assert pushed.gateway.requests[0].path.startswith("/metrics/job")


def test_given_to_a_telemetry(fake_gateway: FakeGateway) -> None:
    """Flushed and closed with it; a model without a name is a model too."""
    reader = PushgatewayMetricReader(fake_gateway.address, "mnist", interval=NEVER)
    with Telemetry(exporters=[reader]) as telemetry:
        telemetry.state.gauge(LOSS, model="net").set(0.5)
        telemetry.flush()
        assert last(fake_gateway.requests, TRAIN) == {"gangplank_train_loss": 0.5}
        telemetry.state.gauge(LOSS, model="net").set(0.25)
    assert last(fake_gateway.requests, TRAIN) == {"gangplank_train_loss": 0.25}


def test_a_telemetrys_flush_says_that_it_failed(fake_gateway: FakeGateway) -> None:
    """As with any other exit: the reader knows, and says so."""
    reader = PushgatewayMetricReader(fake_gateway.address, "mnist", interval=NEVER)
    with Telemetry(exporters=[reader]) as telemetry:
        telemetry.state.gauge(LOSS, model="net").set(0.5)
        fake_gateway.status = 500
        with pytest.raises(ExportError):
            telemetry.flush()
        fake_gateway.status = 200


def test_a_model_without_a_name(fake_gateway: FakeGateway) -> None:
    """An empty label is none, and still there is a group for what lasts."""
    reader = PushgatewayMetricReader(fake_gateway.address, "mnist", interval=NEVER)
    with Telemetry(exporters=[reader]) as telemetry:
        telemetry.state.gauge(metric(Phase.TRAIN, "last_success_timestamp"), model="").set(1)
        telemetry.state.gauge(LOSS, model="").set(0.5)
    assert {request.path for request in fake_gateway.requests} >= {TRAIN, f"{BASE}/model@base64/=", BASE}


def test_failures_are_counted_where_they_arrive_later(pushed: Pushed) -> None:
    """With the first push that is accepted."""
    pushed.meter.create_counter("requests").add(3)
    pushed.gateway.status = 503
    assert not pushed.reader.force_flush()
    assert not pushed.reader.force_flush()
    pushed.gateway.status = 200
    assert pushed.reader.force_flush()
    assert pushed.reader.force_flush()
    body = pushed.gateway.requests[-1].body
    assert 'gangplank_export_pushes_total{result="failure"} 2.0\n' in body
    assert 'gangplank_export_pushes_total{result="success"} 1.0\n' in body
    assert 'gangplank_export_errors_total{error_type="RefusedError"} 2.0\n' in body


def test_the_exports_of_several_exits_are_in_one_body_once(pushed: Pushed) -> None:
    """A telemetry that is joined has trouble of its own to count: it is added up."""
    telemetry = Telemetry(meter_provider=pushed.provider)
    telemetry.start()
    telemetry.trouble.report("do whatever", KeyError("whatever"))
    pushed.meter.create_counter("requests").add(3)
    pushed.series()
    assert 'gangplank_export_errors_total{error_type="KeyError"} 1.0\n' in pushed.gateway.requests[-1].body
    telemetry.close()


def test_the_programs_random_numbers_are_its_own(pushing: Callable[..., Pushed]) -> None:
    """A seeded program draws the same numbers with telemetry as without; and seeds do not make pushes coincide."""
    random.seed(7)
    expected = [random.random() for _ in range(3)]  # noqa: S311 - no secret
    random.seed(7)
    pushed = pushing()
    drawn = [random.random()]  # noqa: S311
    pushed.meter.create_counter("requests").add(3)
    pushed.gateway.status = 503
    pushed.reader.force_flush()
    drawn.append(random.random())  # noqa: S311
    pushed.reader.shutdown()
    drawn.append(random.random())  # noqa: S311
    assert drawn == expected

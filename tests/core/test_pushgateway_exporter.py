"""The push exit's requests: which groups are sent how, and what is in them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pushes import BASE, LOSS, NEVER, TEST, TEST_LOSS, TRAIN, last, telemetry_to, values
from realservers import wait_for

from gangplank import ConfigurationError, ExportError, PushgatewayExporter, Telemetry
from gangplank.catalogue import metric
from gangplank.metrics import Phase
from gangplank.testing import FakeGateway

SUCCEEDED = metric(Phase.TRAIN, "last_success_timestamp")


def test_each_phase_has_a_group_and_what_lasts_has_another(fake_gateway: FakeGateway) -> None:
    """PUT replaces a phase whole; POST adds to the model's own group what outlives runs."""
    telemetry = telemetry_to(fake_gateway)
    telemetry.state.gauge(TEST_LOSS, model="net").set(0.75)
    telemetry.state.gauge(SUCCEEDED, model="net").set(1.0)
    telemetry.state.gauge(SUCCEEDED, model="other").set(2.0)
    telemetry.close()
    assert [(request.method, request.path) for request in fake_gateway.requests] == [
        ("PUT", TRAIN),
        ("POST", f"{BASE}/model/net"),
        ("POST", f"{BASE}/model/other"),
        ("PUT", TEST),
        ("POST", BASE),
    ]
    train, net, other, test, base = map(values, fake_gateway.requests)
    assert train == {"gangplank_train_loss": 0.5}
    assert net == {"gangplank_train_last_success_timestamp_seconds": 1}
    assert other == {"gangplank_train_last_success_timestamp_seconds": 2}
    assert test == {"gangplank_test_loss": 0.75}
    assert base.keys() >= {"gangplank_export_pushes_total", "gangplank_export_time_seconds_total"}
    assert 'gangplank_export_pushes_total{result="success"} 4.0\n' in fake_gateway.requests[-1].body


def test_a_group_in_which_nothing_has_changed_is_not_sent_again(fake_gateway: FakeGateway) -> None:
    """Else a process that trained long ago would put its training over that of one which trained since."""
    telemetry = telemetry_to(fake_gateway)
    telemetry.flush()
    before = len(fake_gateway.requests)
    telemetry.state.gauge(TEST_LOSS, model="net").set(0.75)
    telemetry.close()
    assert [request.path for request in fake_gateway.requests[before:]] == [TEST]


def test_a_group_that_was_refused_is_sent_again(fake_gateway: FakeGateway) -> None:
    """Until it is accepted, and then no more."""
    telemetry = telemetry_to(fake_gateway)
    fake_gateway.status = 500
    with pytest.raises(ExportError, match="500"):
        telemetry.flush()
    fake_gateway.status = 200
    telemetry.flush()
    telemetry.flush()
    telemetry.close()
    assert [request.path for request in fake_gateway.requests].count(TRAIN) == 2


def test_a_group_with_nothing_in_it_is_left_alone(fake_gateway: FakeGateway) -> None:
    """An empty PUT would clear it, and evaluating must not erase training."""
    telemetry = Telemetry(exporters=[PushgatewayExporter(fake_gateway.address, "mnist", interval=NEVER)])
    telemetry.start()
    telemetry.state.gauge(TEST_LOSS, model="net").set(0.75)
    telemetry.close()
    assert {request.path for request in fake_gateway.requests} == {TEST, BASE}


def test_bodies_are_what_a_gateway_accepts(fake_gateway: FakeGateway) -> None:
    """Text with a trailing newline, without timestamps."""
    telemetry_to(fake_gateway).close()
    for request in fake_gateway.requests:
        assert request.body.endswith("\n")
        assert request.headers["Content-Type"].startswith("text/plain")
        families = list(text_string_to_metric_families(request.body))
        assert families
        assert all(sample.timestamp is None for family in families for sample in family.samples)
        assert not any({"job", "phase"} & sample.labels.keys() for family in families for sample in family.samples)


def test_nothing_is_pushed_before_anything_happens(fake_gateway: FakeGateway) -> None:
    """A telemetry that was only opened and closed leaves the gateway as it was."""
    Telemetry(exporters=[PushgatewayExporter(fake_gateway.address, "mnist")]).close()
    with Telemetry(exporters=[PushgatewayExporter(fake_gateway.address, "mnist")]):
        pass
    assert fake_gateway.requests == []


def test_what_was_delivered_is_not_delivered_again(fake_gateway: FakeGateway) -> None:
    """Closing after a flush has nothing new to say."""
    telemetry = telemetry_to(fake_gateway)
    telemetry.flush()
    delivered = len(fake_gateway.requests)
    telemetry.close()
    assert len(fake_gateway.requests) == delivered


def test_a_change_is_pushed_at_the_next_interval(fake_gateway: FakeGateway) -> None:
    """Nobody need ask."""
    telemetry = telemetry_to(fake_gateway, interval=0.05)
    assert last(fake_gateway.wait_for(1), TRAIN) == {"gangplank_train_loss": 0.5}
    telemetry.state.gauge(LOSS, model="net").set(0.25)
    wait_for(lambda: last(list(fake_gateway.requests), TRAIN) == {"gangplank_train_loss": 0.25})
    telemetry.close()


class Called:
    """A push handler that keeps how it was called."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.error: Exception | None = None

    def __call__(self, **arguments: Any) -> Callable[[], None]:
        """Keep the arguments."""

        def send() -> None:
            self.calls.append(arguments)
            if self.error is not None:
                raise self.error

        return send


def test_a_users_handler_does_the_http(fake_gateway: FakeGateway) -> None:
    """Called by keyword, as prometheus_client calls it; what it raises is a failed push."""
    handler = Called()
    telemetry = telemetry_to(fake_gateway, handler=handler, timeout=2.5)
    telemetry.flush()
    assert fake_gateway.requests == []
    assert [call["method"] for call in handler.calls] == ["PUT", "POST"]
    assert all(call.keys() == {"url", "method", "timeout", "headers", "data"} for call in handler.calls)
    assert handler.calls[0]["url"] == f"http://{fake_gateway.address}{TRAIN}"
    assert handler.calls[0]["timeout"] == 2.5
    assert handler.calls[0]["data"].endswith(b'gangplank_train_loss{model="net"} 0.5\n')
    handler.error = KeyError("whatever")
    with pytest.raises(ExportError, match="KeyError: 'whatever'"):
        telemetry.flush()
    telemetry.close()


def encoded(value: str) -> str:
    """Return a label value as it stands in a base64 path."""
    return base64.urlsafe_b64encode(value.encode()).decode()


@pytest.mark.parametrize(
    ("job", "key", "path"),
    [
        ("mnist", {"instance": "worker-1"}, "/metrics/job/mnist/instance/worker-1/phase/train"),
        ("mnist", {"instance": "é 1"}, f"/metrics/job/mnist/instance@base64/{encoded('é 1')}/phase/train"),
        ("mnist", {"run": "a/b"}, f"/metrics/job/mnist/phase/train/run@base64/{encoded('a/b')}"),
        ("mnist", {"run": ""}, "/metrics/job/mnist/phase/train/run@base64/="),
        ("team/mnist", {}, f"/metrics/job@base64/{encoded('team/mnist')}/phase/train"),
    ],
)
def test_a_grouping_key_is_part_of_the_path(
    fake_gateway: FakeGateway, job: str, key: dict[str, str], path: str
) -> None:
    """With the gateway's base64 form for what a path cannot hold."""
    exporter = PushgatewayExporter(fake_gateway.address, job, grouping_key=key)
    with Telemetry(exporters=[exporter]) as telemetry:
        telemetry.state.gauge(LOSS, model="net").set(0.5)
    assert fake_gateway.requests[0].path == path


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"address": 9091}, TypeError),
        ({"address": "http://"}, ConfigurationError),
        ({"job": 1}, TypeError),
        ({"job": None}, ConfigurationError),
        ({"job": ""}, ConfigurationError),
        ({"grouping_key": ["instance"]}, TypeError),
        ({"grouping_key": {"instance": 1}}, TypeError),
        ({"grouping_key": {"in-stance": "a"}}, ConfigurationError),
        ({"grouping_key": {"job": "a"}}, ConfigurationError),
        ({"grouping_key": {"phase": "a"}}, ConfigurationError),
        ({"grouping_key": {"model": "a"}}, ConfigurationError),
        ({"interval": 0}, ConfigurationError),
        ({"timeout": "5"}, TypeError),
        ({"handler": "basic"}, TypeError),
    ],
)
def test_wrong_settings_are_refused_by_name(settings: dict[str, Any], error: type[Exception]) -> None:
    """At construction; a dead gateway is no reason to refuse."""
    with pytest.raises(error, match=f"^{next(iter(settings))}"):
        PushgatewayExporter(**{"address": "localhost:1", "job": "mnist", **settings})


def test_what_lasts_of_a_model_is_not_sent_again_for_another_models_sake(fake_gateway: FakeGateway) -> None:
    """Another process may have trained the one model since."""
    telemetry = telemetry_to(fake_gateway)
    telemetry.state.gauge(SUCCEEDED, model="net").set(1.0)
    telemetry.flush()
    telemetry.state.gauge(SUCCEEDED, model="other").set(2.0)
    telemetry.close()
    assert [request.path for request in fake_gateway.requests].count(f"{BASE}/model/net") == 1
    assert [request.path for request in fake_gateway.requests].count(f"{BASE}/model/other") == 1

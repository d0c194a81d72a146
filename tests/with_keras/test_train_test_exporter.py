"""The predecessor's callback: its signature, its arguments, its pushes."""

from __future__ import annotations

import functools
import inspect
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from keras_suite import At, data, raising, regression
from prometheus_client.exposition import basic_auth_handler, default_handler

import gangplank
from gangplank.testing import FakeGateway


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    """A gateway that keeps what it is sent."""
    with FakeGateway() as gateway:
        yield gateway


def _fit(*callbacks: Any, **options: Any) -> Any:
    x, y = data()
    return regression().fit(x, y, verbose=0, callbacks=list(callbacks), **options)


def test_the_signature_is_the_predecessors() -> None:
    """Scripts that call by position or by name go on working."""
    signature = inspect.signature(gangplank.TrainTestExporter)
    assert list(signature.parameters) == [
        "pgw_addr",
        "job",
        "metrics",
        "histogram_buckets",
        "handler",
        "ignore_exceptions",
    ]
    assert issubclass(gangplank.TrainTestExporter, keras.callbacks.Callback)


def test_the_bucket_constants() -> None:
    """Lists, as the predecessor had them, with the very same numbers."""
    assert [round(-1 + 0.1 * step, 1) for step in range(21)] == gangplank.HISTOGRAM_WEIGHT_BUCKETS_1_0
    assert [round(-0.3 + 0.05 * step, 2) for step in range(13)] == gangplank.HISTOGRAM_WEIGHT_BUCKETS_0_3


def test_the_drift_tuple() -> None:
    """All fields are optional, and named as before."""
    assert gangplank.Drift() == (None, None, None)
    assert gangplank.Drift(p_value=0.5)._asdict() == {
        "drift_detected": None,
        "p_value": 0.5,
        "test_statistic": None,
    }


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"pgw_addr": 9091}, TypeError, "pgw_addr"),
        ({"pgw_addr": ""}, ValueError, "pgw_addr"),
        ({"pgw_addr": ":9091"}, ValueError, "pgw_addr has no host"),
        ({"pgw_addr": "http://"}, ValueError, "pgw_addr has no host"),
        ({"pgw_addr": "host:-1"}, ValueError, "pgw_addr"),
        ({"pgw_addr": "host:99999"}, ValueError, "pgw_addr"),
        ({"pgw_addr": "ftp://host"}, ValueError, "http://"),
        ({"job": ""}, ValueError, "job"),
        ({"job": None}, TypeError, "job"),
        ({"metrics": "loss"}, TypeError, "metrics"),
        ({"metrics": [1]}, TypeError, r"metrics\[0\]"),
        ({"histogram_buckets": []}, ValueError, "histogram_buckets"),
        ({"histogram_buckets": [0.2, 0.1]}, ValueError, "histogram_buckets must be sorted"),
        ({"histogram_buckets": [0.1, 0.1]}, ValueError, "duplicates"),
        ({"histogram_buckets": [0.1, float("nan")]}, ValueError, "histogram_buckets"),
        ({"histogram_buckets": "0.1"}, TypeError, "histogram_buckets"),
        ({"histogram_buckets": 5}, TypeError, "histogram_buckets"),
        ({"histogram_buckets": ["0.1"]}, TypeError, r"histogram_buckets\[0\]"),
        ({"handler": "basic"}, TypeError, "handler"),
        ({"ignore_exceptions": "no"}, TypeError, "ignore_exceptions"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    """Each is an error at construction that names the argument."""
    with pytest.raises(error, match=says):
        gangplank.TrainTestExporter(**{"pgw_addr": "localhost:9091", "job": "j", **arguments})


def test_good_arguments() -> None:
    """What people pass in practice is accepted, and nothing is opened for it."""
    before = set(threading.enumerate())
    for address in ("localhost", "localhost:9091", "http://gw/prefix/", "https://u:p@gw:443", "[::1]:9091"):
        gangplank.TrainTestExporter(address, "j", ("loss",), np.linspace(-1, 1, 5))
    assert set(threading.enumerate()) <= before


def test_each_epoch_reaches_the_gateway(fake: FakeGateway) -> None:
    """Training goes to its own group by PUT, what lasts to the model's group by POST."""
    exporter = gangplank.TrainTestExporter(fake.address, "mnist")
    _fit(exporter, epochs=2)
    exporter.telemetry.flush()
    last = {(request.method, request.path): request.body for request in fake.requests}
    assert set(last) == {
        ("PUT", "/metrics/job/mnist/phase/train"),
        ("POST", "/metrics/job/mnist/model/net"),
        ("POST", "/metrics/job/mnist"),
    }
    training = last["PUT", "/metrics/job/mnist/phase/train"]
    assert 'gangplank_train_epochs_count{model="net"} 2.0\n' in training
    assert 'gangplank_train_running{model="net"} 0.0\n' in training
    lasting = last["POST", "/metrics/job/mnist/model/net"]
    assert "gangplank_train_last_success_timestamp_seconds" in lasting
    assert "gangplank_train_loss" not in lasting


def test_weights_are_sent_with_the_predecessors_bounds(fake: FakeGateway) -> None:
    """Bounds appear as the predecessor wrote them, with count and a true sum."""
    exporter = gangplank.TrainTestExporter(fake.address, "m", histogram_buckets=gangplank.HISTOGRAM_WEIGHT_BUCKETS_0_3)
    x, y = data()
    regression().evaluate(x, y, verbose=0, callbacks=[exporter])
    exporter.telemetry.flush()
    body = next(one.body for one in reversed(fake.requests) if one.path.endswith("phase/test"))
    for bound in ("-0.3", "-0.05", "0.0", "0.15", "0.3", "+Inf"):
        assert f'gangplank_test_model_weights_bucket{{le="{bound}",model="net"}}' in body
    assert 'gangplank_test_model_weights_count{model="net"} 4.0\n' in body
    assert 'gangplank_test_model_weights_sum{model="net"} 0.0\n' not in body


def test_exporters_of_one_job_push_together(fake: FakeGateway) -> None:
    """Two callbacks for one job in one process do not replace each other's models."""
    x, y = data()
    for name in ("first", "second"):
        exporter = gangplank.TrainTestExporter(fake.address, "shared")
        regression(name).fit(x, y, verbose=0, callbacks=[exporter])
    exporter.telemetry.flush()
    body = next(one.body for one in reversed(fake.requests) if one.path.endswith("phase/train"))
    assert 'gangplank_train_loss{model="first"}' in body
    assert 'gangplank_train_loss{model="second"}' in body


def test_a_handler_of_prometheus_client_authenticates(fake: FakeGateway) -> None:
    """The handler that prometheus_client documents works as it is."""

    def handler(
        url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
    ) -> Callable[[], None]:
        return basic_auth_handler(url, method, timeout, headers, data, "user", "secret")

    exporter = gangplank.TrainTestExporter(fake.address, "auth", handler=handler)
    _fit(exporter)
    exporter.telemetry.flush()
    assert {request.headers.get("Authorization") for request in fake.requests} == {"Basic dXNlcjpzZWNyZXQ="}


def test_exporters_of_one_job_push_together_whatever_their_handlers(fake: FakeGateway) -> None:
    """A handler that is made in the call is another one each time; the job is the same."""
    x, y = data()
    for name in ("first", "second"):
        exporter = gangplank.TrainTestExporter(fake.address, "made", handler=functools.partial(default_handler))
        regression(name).fit(x, y, verbose=0, callbacks=[exporter])
    exporter.telemetry.flush()
    body = next(one.body for one in reversed(fake.requests) if one.path.endswith("phase/train"))
    assert 'gangplank_train_loss{model="first"}' in body
    assert 'gangplank_train_loss{model="second"}' in body


def test_training_does_not_wait_for_a_gateway(fake: FakeGateway) -> None:
    """While the gateway keeps its answer back, fit comes to its end; the newest state is delivered after."""
    fake.held.clear()
    exporter = gangplank.TrainTestExporter(fake.address, "slow")
    _fit(exporter, epochs=3)
    assert len(fake.requests) <= 1
    fake.held.set()
    exporter.telemetry.flush()
    body = next(one.body for one in reversed(fake.requests) if one.path.endswith("phase/train"))
    assert 'gangplank_train_epochs_count{model="net"} 3.0\n' in body


def test_a_gateway_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    """Training is as good as ever; the log has one line, and the failures are counted."""
    caplog.set_level(logging.INFO, "gangplank")
    exporter = gangplank.TrainTestExporter("127.0.0.1:9", "nobody")
    history = _fit(exporter, epochs=3)
    assert len(history.history["loss"]) == 3
    with pytest.raises(gangplank.ExportError):
        exporter.telemetry.flush()
    assert len([record for record in caplog.records if "could not push" in record.message]) == 1


def test_exceptions_are_raised_on_request(fake: FakeGateway) -> None:
    """With ignore_exceptions=False a refused push ends the run."""
    fake.status = 500
    exporter = gangplank.TrainTestExporter(fake.address, "strict", ignore_exceptions=False)
    with pytest.raises(gangplank.ExportError, match="500"):
        _fit(exporter)


def test_pushes_are_synchronous_when_exceptions_are_raised(fake: FakeGateway) -> None:
    """With ignore_exceptions=False an epoch's push is done before the next begins."""
    exporter = gangplank.TrainTestExporter(fake.address, "sync", ignore_exceptions=False)
    seen: list[int] = []
    look = At("on_epoch_begin", lambda: seen.append(len(fake.requests)))
    _fit(exporter, look, epochs=3)
    assert seen == [2, 4, 6]
    assert len(fake.requests) == 11


def test_the_users_exception_goes_before_a_failed_push(fake: FakeGateway) -> None:
    """An exception in fit is not replaced by that of the push that reports it."""
    exporter = gangplank.TrainTestExporter(fake.address, "both", ignore_exceptions=False)

    def fail() -> None:
        fake.status = 503
        raising(ValueError("mine"))()

    with pytest.raises(ValueError, match="mine"):
        _fit(exporter, At("on_train_batch_end", fail))


def test_another_callback_earlier_in_the_list_adds_a_metric(fake: FakeGateway) -> None:
    """What a callback puts into the logs is exported like Keras's own, the predecessor's learning rate included."""

    class Extra(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            assert logs is not None
            logs["learning_rate"] = 0.125
            logs["temperature"] = 36.6

    exporter = gangplank.TrainTestExporter(fake.address, "custom")
    _fit(Extra(), exporter)
    exporter.telemetry.flush()
    body = next(one.body for one in reversed(fake.requests) if one.path.endswith("phase/train"))
    assert 'gangplank_train_learning_rate{model="net"} 0.125\n' in body
    assert 'gangplank_train_temperature{model="net"} 36.6\n' in body

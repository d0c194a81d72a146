"""The push exit: which groups are sent how, what wins, and what happens when a gateway does not want them."""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import pytest
from prometheus_client.parser import text_string_to_metric_families
from realservers import free_port, wait_for

from gangplank import ConfigurationError, ExportError, PushgatewayExporter, Telemetry
from gangplank.catalogue import Phase, metric, model_metric
from gangplank.exporters.pushgateway import Pusher
from gangplank.state import State
from gangplank.testing import FakeGateway, InMemoryExporter, Request
from gangplank.trouble import Trouble

LOSS = model_metric(Phase.TRAIN, "loss")
TEST_LOSS = model_metric(Phase.TEST, "loss")
SUCCEEDED = metric(Phase.TRAIN, "last_success_timestamp")
TRAIN, TEST, BASE = (f"/metrics/job/mnist{group}" for group in ("/phase/train", "/phase/test", ""))

# An interval that no test lives to see: what is pushed, is pushed because something asked for it.
NEVER = 3600.0


def telemetry_to(gateway: FakeGateway, **settings: Any) -> Telemetry:
    """Return a started telemetry that pushes to the gateway, and has a loss to push."""
    settings.setdefault("interval", NEVER)
    telemetry = Telemetry(exporters=[PushgatewayExporter(gateway.address, "mnist", **settings)])
    telemetry.start()
    telemetry.state.gauge(LOSS, model="net").set(0.5)
    return telemetry


def values(request: Request) -> dict[str, float]:
    """Return the samples of a request by name; labels are looked at elsewhere."""
    families = text_string_to_metric_families(request.body)
    return {sample.name: sample.value for family in families for sample in family.samples}


def last(requests: list[Request], path: str) -> dict[str, float]:
    """Return the samples that were sent to ``path`` last."""
    return values([request for request in requests if request.path == path][-1])


class Accepting:
    """A server that accepts everything, at a port that was chosen before, and knows connections apart."""

    def __init__(self, port: int) -> None:
        self.bodies: list[str] = []
        self.clients: set[tuple[str, int]] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.port = self._server.server_port

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                server.clients.add(self.client_address)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_PUT = do_POST = answer  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                pass

        return Handler

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def connections() -> set[threading.Thread]:
    """Return the threads that serve a fake gateway's open connections."""
    return {thread for thread in threading.enumerate() if "process_request_thread" in thread.name}


def pushers() -> set[threading.Thread]:
    """Return the threads that push."""
    return {thread for thread in threading.enumerate() if thread.name == "gangplank-pushgateway"}


def test_each_phase_has_a_group_and_what_lasts_has_another(fake_gateway: FakeGateway) -> None:
    """PUT replaces a phase whole; POST adds to the job's own group what outlives runs."""
    telemetry = telemetry_to(fake_gateway)
    telemetry.state.gauge(TEST_LOSS, model="net").set(0.75)
    telemetry.state.gauge(SUCCEEDED, model="net").set(1.0)
    telemetry.close()
    assert [(request.method, request.path) for request in fake_gateway.requests] == [
        ("PUT", TRAIN),
        ("PUT", TEST),
        ("POST", BASE),
    ]
    train, test, base = map(values, fake_gateway.requests)
    assert train == {"gangplank_train_loss": 0.5}
    assert test == {"gangplank_test_loss": 0.75}
    assert base.keys() == {
        "gangplank_train_last_success_timestamp_seconds",
        "gangplank_export_pushes_total",
        "gangplank_export_time_seconds_total",
    }


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


def test_the_newest_state_wins_while_a_push_is_held(fake_gateway: FakeGateway) -> None:
    """States that were overtaken are not sent: there is one push more, not a hundred."""
    fake_gateway.held.clear()
    telemetry = telemetry_to(fake_gateway)
    telemetry.notify()
    fake_gateway.wait_for(1)
    for number in range(100):
        telemetry.state.gauge(LOSS, model="net").set(number)
        telemetry.notify()
    fake_gateway.held.set()
    telemetry.close()
    trained = [values(request) for request in fake_gateway.requests if request.path == TRAIN]
    assert trained == [{"gangplank_train_loss": 0.5}, {"gangplank_train_loss": 99}]


def test_notify_does_not_wait_for_the_gateway(fake_gateway: FakeGateway) -> None:
    """It returns while the push is still on its way, and close gives up in time."""
    fake_gateway.held.clear()
    telemetry = telemetry_to(fake_gateway)
    telemetry.notify()
    fake_gateway.wait_for(1)
    telemetry.notify()  # would wait for ever: nothing lets go of the gateway
    began = time.monotonic()
    telemetry.close(timeout=1)
    assert time.monotonic() - began < 10
    assert len(fake_gateway.requests) == 1


def test_a_failure_is_counted_and_logged_once_and_made_good(
    fake_gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    """What a gateway in trouble missed is delivered once it is back, with how often it failed."""
    fake_gateway.status = 503
    telemetry = telemetry_to(fake_gateway, interval=0.05)
    memory = telemetry.attach(InMemoryExporter())
    failures: Callable[[], Any] = lambda: memory.value("gangplank_export_pushes_total", result="failure")  # noqa: E731
    wait_for(lambda: failures() >= 3)
    assert memory.value("gangplank_export_pushes_total", result="success") == 0
    assert memory.value("gangplank_export_last_success_timestamp_seconds") is None
    assert memory.value("gangplank_export_errors_total", error_type="RefusedError") == failures()
    fake_gateway.status = 200
    wait_for(lambda: memory.value("gangplank_export_pushes_total", result="success") == 1)
    telemetry.close()
    assert last(fake_gateway.requests, TRAIN) == {"gangplank_train_loss": 0.5}
    assert isinstance(memory.value("gangplank_export_last_success_timestamp_seconds"), float)
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert f"could not push to http://{fake_gateway.address}" in record.getMessage()
    assert "503" in record.getMessage()


def test_a_refused_group_does_not_keep_the_others(fake_gateway: FakeGateway) -> None:
    """Another job may have left a metric of another type in one group; the rest is delivered."""
    fake_gateway.status = 400
    telemetry = telemetry_to(fake_gateway)
    telemetry.state.gauge(TEST_LOSS, model="net").set(0.75)
    with pytest.raises(ExportError, match="400"):
        telemetry.flush()
    assert {request.path for request in fake_gateway.requests} == {TRAIN, TEST, BASE}
    fake_gateway.status = 202
    telemetry.flush()
    telemetry.close()


def test_a_gateway_that_comes_up_later_gets_everything(caplog: pytest.LogCaptureFixture) -> None:
    """Starting does not need it, and a refused connection is a failure like any other."""
    port = free_port()
    exporter = PushgatewayExporter(f"127.0.0.1:{port}", "mnist", interval=0.05)
    telemetry = Telemetry(exporters=[exporter])
    telemetry.start()
    memory = telemetry.attach(InMemoryExporter())
    telemetry.state.gauge(LOSS, model="net").set(0.5)
    failures: Callable[[], Any] = lambda: memory.value("gangplank_export_pushes_total", result="failure")  # noqa: E731
    wait_for(lambda: failures() >= 2)
    with Accepting(port) as server:
        wait_for(lambda: memory.value("gangplank_export_pushes_total", result="success") == 1)
        telemetry.close()
    assert any('gangplank_train_loss{model="net"} 0.5\n' in body for body in server.bodies)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308, 404, 500])
def test_anything_but_success_is_a_failure(fake_gateway: FakeGateway, status: int) -> None:
    """A redirect too: following it would turn the PUT into a GET, and deliver nothing."""
    fake_gateway.status = status
    telemetry = telemetry_to(fake_gateway)
    with pytest.raises(ExportError, match=f"{fake_gateway.address}.* answered {status}"):
        telemetry.flush()
    telemetry.close()


def test_flush_waits_for_the_state_as_it_is_now(fake_gateway: FakeGateway) -> None:
    """Not for a push that was already on its way when it was called."""
    fake_gateway.held.clear()
    telemetry = telemetry_to(fake_gateway)
    telemetry.notify()
    fake_gateway.wait_for(1)
    telemetry.state.gauge(LOSS, model="net").set(0.25)
    flushed: list[dict[str, float]] = []

    def flush() -> None:
        telemetry.flush(timeout=10)
        flushed.append(last(fake_gateway.requests, TRAIN))

    flushing = threading.Thread(target=flush)
    flushing.start()
    fake_gateway.held.set()
    flushing.join()
    telemetry.close()
    assert flushed == [{"gangplank_train_loss": 0.25}]


def test_flush_gives_up_in_time(fake_gateway: FakeGateway) -> None:
    """With the error that it promises."""
    fake_gateway.held.clear()
    telemetry = telemetry_to(fake_gateway)
    with pytest.raises(ExportError, match=r"did not answer within 0\.\d+ s"):
        telemetry.flush(timeout=0.2)
    telemetry.close(timeout=0.2)


class Overtaken(Pusher):
    """A pusher whose caller is put to sleep right after it asked for a push, until that is over."""

    def notify(self) -> None:
        """Ask for a push, and be overtaken by it."""
        before = self._ended
        super().notify()
        wait_for(lambda: self._ended > before)


def test_flush_does_not_miss_the_push_it_asked_for() -> None:
    """However the threads take turns: the push may be over before flush has begun to wait for it."""
    exporter = PushgatewayExporter("localhost", "mnist", interval=NEVER, handler=Called())
    pusher = Overtaken(exporter, State(), Trouble(logging.getLogger("gangplank.test")))
    pusher.flush(timeout=1)
    pusher.close()


def test_a_synchronous_exporter_pushes_on_the_callers_thread(fake_gateway: FakeGateway) -> None:
    """No thread; delivered when notify returns, and a failure is the caller's."""
    before = pushers()
    telemetry = telemetry_to(fake_gateway, synchronous=True)
    assert pushers() <= before
    telemetry.notify()
    assert last(fake_gateway.requests, TRAIN) == {"gangplank_train_loss": 0.5}
    fake_gateway.status = 500
    with pytest.raises(ExportError, match="500"):
        telemetry.notify()
    with pytest.raises(ExportError, match="500"):
        telemetry.flush()
    telemetry.state.gauge(LOSS, model="net").set(0.25)
    telemetry.close()  # fails again, and does not raise


def test_closing_lets_go_of_the_thread_and_the_connection(fake_gateway: FakeGateway) -> None:
    """A gateway that many jobs push to keeps no connection of those that have ended."""
    before = connections() | pushers()
    exporter = PushgatewayExporter(fake_gateway.address, "mnist", interval=NEVER)
    telemetry = Telemetry(exporters=[exporter])
    telemetry.start()
    telemetry.state.gauge(LOSS, model="net").set(0.5)
    telemetry.close()
    assert pushers() <= before
    wait_for(lambda: connections() <= before, timeout=5)
    assert exporter.job == "mnist"  # it is still there, and was not collected with its connection


def test_one_connection_serves_a_run() -> None:
    """A TLS handshake for every group of every push would be most of the work."""
    with Accepting(0) as server:
        exporter = PushgatewayExporter(f"127.0.0.1:{server.port}", "mnist", interval=NEVER)
        with Telemetry(exporters=[exporter]) as telemetry:
            for number in range(3):
                telemetry.state.gauge(LOSS, model="net").set(number)
                telemetry.flush()
    assert len(server.bodies) == 6
    assert len(server.clients) == 1


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
        ({"job": None}, TypeError),
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

"""The push exit's deliveries: what wins, who waits, and what happens when a gateway does not want them."""

from __future__ import annotations

import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import pytest
from pushes import BASE, LOSS, NEVER, TEST, TEST_LOSS, TRAIN, last, telemetry_to, values
from realservers import free_port, wait_for

from gangplank import ExportError, PushgatewayExporter, Telemetry
from gangplank.state import State
from gangplank.testing import FakeGateway, InMemoryExporter
from gangplank.trouble import Trouble


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


def let_go(gateway: FakeGateway) -> None:
    """Answer what was held, so that no thread of this test writes to the log of the next."""
    gateway.held.set()
    wait_for(lambda: not pushers())


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
    let_go(fake_gateway)


def test_a_failure_is_counted_and_logged_once_and_made_good(
    fake_gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    """What a gateway in trouble missed is delivered once it is back, with how often it failed."""
    fake_gateway.status = 503
    telemetry = telemetry_to(fake_gateway, interval=0.05)
    memory = telemetry.attach(InMemoryExporter())

    def failures() -> Any:
        return memory.value("gangplank_export_pushes_total", result="failure")

    wait_for(lambda: failures() >= 3)
    assert memory.value("gangplank_export_pushes_total", result="success") == 0
    assert memory.value("gangplank_export_last_success_timestamp_seconds") is None
    fake_gateway.status = 200
    wait_for(lambda: memory.value("gangplank_export_pushes_total", result="success"))
    telemetry.close()
    assert memory.value("gangplank_export_errors_total", error_type="RefusedError") == failures()
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

    def failures() -> Any:
        return memory.value("gangplank_export_pushes_total", result="failure")

    wait_for(lambda: failures() >= 2)
    with Accepting(port) as server:
        wait_for(lambda: memory.value("gangplank_export_pushes_total", result="success"))
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
    let_go(fake_gateway)


def test_flush_does_not_miss_the_push_it_asked_for() -> None:
    """However the threads take turns: many flushes of a push that takes no time all come back."""
    exporter = PushgatewayExporter("localhost", "mnist", interval=NEVER, handler=lambda **_: lambda: None)
    pusher = exporter.start(State(), Trouble(logging.getLogger("gangplank.test")))
    for _ in range(2000):
        pusher.flush(timeout=5)  # raises if it waits for a push that nobody makes
    pusher.close()


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
    assert "mnist" in repr(exporter)  # it is still there, and was not collected with its connection


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


def test_one_bad_answer_does_not_lose_the_last_state(
    fake_gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    """The last push is tried again; a gateway that has come round by then has the final state."""
    telemetry = telemetry_to(fake_gateway)
    fake_gateway.status = 503
    closing = threading.Thread(target=telemetry.close)
    closing.start()
    fake_gateway.wait_for(1)
    fake_gateway.status = 200
    closing.join()
    assert last(fake_gateway.requests, TRAIN) == {"gangplank_train_loss": 0.5}
    assert "not delivered" not in caplog.text


def test_a_last_state_that_was_lost_is_said(fake_gateway: FakeGateway, caplog: pytest.LogCaptureFixture) -> None:
    """Even though the cause was logged before."""
    telemetry = telemetry_to(fake_gateway)
    fake_gateway.status = 503
    with pytest.raises(ExportError):
        telemetry.flush()
    telemetry.close()
    assert caplog.text.count("could not push") == 1
    assert caplog.text.count("the last state was not delivered") == 1


def test_a_second_cause_is_logged_too(fake_gateway: FakeGateway, caplog: pytest.LogCaptureFixture) -> None:
    """A password that is refused is another trouble than a gateway that was overloaded before."""
    telemetry = telemetry_to(fake_gateway)
    for status in (503, 401, 503, 401):
        fake_gateway.status = status
        with pytest.raises(ExportError):
            telemetry.flush()
    fake_gateway.status = 200
    telemetry.close()
    assert [record.getMessage().split("answered ")[1][:3] for record in caplog.records] == ["503", "401"]


def test_silent_gateways_share_the_time_that_a_close_takes(fake_gateway: FakeGateway) -> None:
    """Exits are closed side by side: a dead one does not keep a healthy one from its last push."""
    with FakeGateway() as silent:
        silent.held.clear()
        exporters = [PushgatewayExporter(one.address, "mnist", interval=NEVER) for one in (silent, fake_gateway)]
        telemetry = Telemetry(exporters=exporters)
        telemetry.start()
        telemetry.state.gauge(LOSS, model="net").set(0.5)
        telemetry.close(timeout=1.5)
        assert last(fake_gateway.requests, TRAIN) == {"gangplank_train_loss": 0.5}
        let_go(silent)


def test_a_second_close_waits_for_the_first(fake_gateway: FakeGateway) -> None:
    """A program that ends while another thread closes does not end before that is done."""
    telemetry = telemetry_to(fake_gateway)
    fake_gateway.held.clear()
    first = threading.Thread(target=telemetry.close)
    first.start()
    fake_gateway.wait_for(1)
    second = threading.Thread(target=telemetry.close)
    second.start()
    fake_gateway.held.set()
    second.join()
    assert {request.path for request in fake_gateway.requests} == {TRAIN, BASE}
    first.join()


def test_news_that_comes_fast_shares_a_push(fake_gateway: FakeGateway) -> None:
    """Epochs of a millisecond do not keep the pusher, and with it the interpreter, busy; the last one is not lost."""
    telemetry = telemetry_to(fake_gateway)
    for epoch in range(100):
        telemetry.state.gauge(LOSS, model="net").set(float(epoch))
        telemetry.notify()
    telemetry.close()
    assert [request.path for request in fake_gateway.requests].count(TRAIN) < 50
    assert last(fake_gateway.requests, TRAIN) == {"gangplank_train_loss": 99.0}

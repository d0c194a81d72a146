"""Gateways at fault: nobody waits for them, what is newest arrives once they are mended, and the end comes in time."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest
from faults import FAULTS, Fault, Visit, answering, dripping, endless, silent, status
from faultserver import EXITS, Exit, Server, newest
from processes import Page
from pushes import BASE, NEVER, TRAIN
from realservers import free_port, wait_for

from gangplank.exporters.pushgateway.settings import resolve
from gangplank.exporters.pushgateway.transport import SessionHandler

HELD = ("silent", "deaf", "drips a status line", "drips headers", "drips over TLS", "silent handshake")
LARGE = "x" * 400_000


def of_server(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged of pushes that failed."""
    return [record.getMessage() for record in caplog.records if "could not push" in record.getMessage()]


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_passes(name: str, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The newest state arrives unasked; failures are counted, the gateway is told of them, and logged once a cause."""
    with Server(FAULTS[name], tmp_path) as server:
        pushing = Exit(kind, server.url, interval=0.2, timeout=0.3, **server.settings)
        pushing.write(0.5)
        wait_for(lambda: pushing.pushes("failure") >= 1)
        for number in range(100):
            pushing.write(number)
        asked_at = pushing.pushes("failure")
        wait_for(
            lambda: pushing.pushes("failure") >= asked_at + 2
        )  # nothing has been asked for since the first of these
        assert not server.requests
        server.mend()
        wait_for(lambda: newest(server) == "99.0")
        pushing.close()
        told = Page(server.of(BASE)[-1])
    assert (
        told.value("gangplank_export_pushes_total", result="failure") == pushing.pushes("failure") == pushing.errors()
    )
    assert 1 <= len(of_server(caplog)) <= 2, caplog.text  # mending may cut a request off, which is a cause of its own
    assert "not delivered" not in caplog.text


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize("name", HELD)
def test_nobody_waits(name: str, kind: str, tmp_path: Path) -> None:
    """Writing, notifying and closing return while a push that may take a minute is still on its way."""
    with Server(FAULTS[name], tmp_path) as server:
        pushing = Exit(kind, server.url, interval=0.2, timeout=60, **server.settings)
        if name == "deaf":
            pushing.write_large(LARGE)
        pushing.write(0.5)
        wait_for(server.is_met)
        for number in range(100):
            pushing.write(number)
        pushing.close(timeout=0.2)
        assert pushing.pushes("failure") == pushing.pushes("success") == 0  # it still is
        assert pushing.is_pushing()
        server.mend()
        wait_for(lambda: not pushing.is_pushing())


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize("name", FAULTS)
def test_the_end_comes_in_time(name: str, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A small timeout bounds a close that has its first push before it; a state that was lost is said."""
    with Server(FAULTS[name], tmp_path) as server:
        pushing = Exit(kind, server.url, interval=NEVER, timeout=0.3, **server.settings)
        pushing.write(0.5)
        began = time.monotonic()
        pushing.close(timeout=1)
        assert time.monotonic() - began < 4
        assert newest(server) is None
        wait_for(lambda: not pushing.is_pushing())  # four attempts, and the thread ends by itself
    assert "last state was not delivered" in caplog.text or "last push may be lost" in caplog.text


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize("name", ["drips a status line", "drips headers", "drips a body", "drips over TLS", "deaf"])
def test_a_push_is_bounded_as_a_whole(name: str, kind: str, tmp_path: Path) -> None:
    """A byte now and then does not begin the timeout anew; the next push is not the worse for it."""
    with Server(FAULTS[name], tmp_path) as server:
        pushing = Exit(kind, server.url, interval=NEVER, timeout=0.5, **server.settings)
        if name == "deaf":
            pushing.write_large(LARGE)
        pushing.write(0.5)
        began = time.monotonic()
        assert not pushing.flush(timeout=30)
        assert time.monotonic() - began < 10
        assert pushing.pushes("failure") >= 1
        server.mend()
        assert pushing.flush()
        assert newest(server) == "0.5"
        pushing.close()


def upload(server: Server, timeout: float) -> float:
    """Send 20 MB to a server that hardly reads, and return the seconds until that is given up."""
    handler = SessionHandler(resolve({"address": server.url, "job": "mnist", **server.settings}))
    began = time.monotonic()
    with pytest.raises(OSError, match="did not answer within"):
        handler(url=server.url, method="PUT", timeout=timeout, headers=[], data=b"x" * 20_000_000)()
    handler.close()
    return time.monotonic() - began


@pytest.mark.parametrize("tls", ["", "trusted"])
def test_an_upload_is_bounded_as_a_whole(tls: str, tmp_path: Path) -> None:
    """Sending, too, in the clear and in the records of TLS."""

    def slow(visit: Visit) -> None:
        while not visit.over.wait(0.05) and visit.link.recv(16384):
            pass

    with Server(Fault(slow, tls=tls), tmp_path) as server:
        assert upload(server, timeout=0.5) < 4


@pytest.mark.parametrize("kind", EXITS)
def test_a_reply_that_drips_after_its_status_has_delivered(kind: str, tmp_path: Path) -> None:
    """The gateway has said yes: the rest is waited for as long as a push may take, and is no failure."""
    fault = Fault(dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"))
    with Server(fault, tmp_path) as server:
        pushing = Exit(kind, server.url, interval=NEVER, timeout=0.3)
        pushing.write(0.5)
        assert pushing.flush()
        assert pushing.pushes("failure") == 0
        server.mend()
        pushing.close()


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: 100000000\r\n\r\n",
        b"HTTP/1.1 302 Elsewhere\r\nLocation: /elsewhere\r\n\r\n",
        b"HTTP/1.1 308 Elsewhere\r\nLocation: /elsewhere\r\nContent-Length: 100000000\r\n\r\n",
    ],
)
def test_a_huge_reply_is_not_read(head: bytes, tmp_path: Path) -> None:
    """A hundred megabytes, or no end of them, are left where they are, whatever the status."""
    with Server(Fault(endless(head)), tmp_path) as server:
        pushing = Exit("exporter", server.url, interval=NEVER, timeout=2)
        pushing.write(0.5)
        assert pushing.flush() == (b"200" in head)
        assert max(visit.sent for visit in server.visits) < 30_000_000
        server.mend()
        pushing.close()


@pytest.mark.parametrize("kind", EXITS)
def test_slow_for_one_push_and_fine_for_the_next(kind: str, tmp_path: Path) -> None:
    """What was written meanwhile goes with the next push; nothing in between is sent late."""
    with Server(Fault(silent), tmp_path) as server:
        pushing = Exit(kind, server.url, interval=0.2, timeout=30)
        pushing.write(1)
        wait_for(server.is_met)
        for number in range(2, 50):
            pushing.write(number)
        server.mend()  # which cuts the slow one off
        wait_for(lambda: newest(server) == "49.0")
        pushing.close()
        losses = {line for body in server.of(TRAIN) for line in body.splitlines() if "train_loss{" in line}
    assert losses == {'gangplank_train_loss{model="net"} 49.0'}


@pytest.mark.parametrize("kind", EXITS)
def test_a_second_cause_is_said_too(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A gateway that is not there, and then one whose certificate is not trusted, want different remedies."""
    with Server(Fault(answering(status(200)), tls="untrusted"), tmp_path) as server:
        port, settings = server.port, server.settings
    pushing = Exit(kind, f"https://127.0.0.1:{port}", interval=0.1, timeout=2, **settings)
    pushing.write(0.5)
    wait_for(lambda: pushing.pushes("failure") >= 2)
    folder = tmp_path / "second"
    folder.mkdir()
    with Server(Fault(answering(status(200)), tls="untrusted"), folder, port) as server:
        failures = pushing.pushes("failure")
        wait_for(lambda: pushing.pushes("failure") >= failures + 3)
        pushing.close(timeout=1)
    assert any("refused" in message for message in of_server(caplog))
    assert any("CERTIFICATE_VERIFY_FAILED" in message for message in of_server(caplog))


@pytest.mark.parametrize("kind", EXITS)
def test_a_name_that_cannot_be_resolved(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Counted, logged once, and no reason to end late."""
    with caplog.at_level(logging.WARNING):
        pushing = Exit(kind, f"http://gateway.invalid:{free_port()}", interval=0.1, timeout=1)
        pushing.write(0.5)
        wait_for(lambda: pushing.pushes("failure") >= 2)
        began = time.monotonic()
        pushing.close()
        assert time.monotonic() - began < 15
    [message] = of_server(caplog)
    assert "gateway.invalid" in message
    assert pushing.pushes("failure") == pushing.errors()

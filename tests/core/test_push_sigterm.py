"""SIGTERM for processes that push: what is handled if asked, and what the program does about it itself."""

from __future__ import annotations

import signal
import threading
import time

import pytest
from endings import BEGIN, WAIT, ended, outcome, source, started
from faultserver import EXITS
from processes import Page
from pushes import TRAIN

from gangplank import ConfigurationError, PushgatewayExporter, PushgatewayMetricReader, Telemetry
from gangplank.testing import FakeGateway


@pytest.mark.parametrize("kind", EXITS)
def test_sigterm(fake_gateway: FakeGateway, kind: str) -> None:
    """Asked to, it pushes that the run was interrupted, and the process dies of the signal as it would have."""
    program = source(BEGIN, WAIT)
    status, _, err = ended(program, fake_gateway.address, kind, "handle_sigterm=True", sends=signal.SIGTERM)
    assert status == -signal.SIGTERM
    assert outcome(fake_gateway) == "interrupted"
    assert err == ""


@pytest.mark.parametrize("kind", EXITS)
def test_sigterm_unasked(fake_gateway: FakeGateway, kind: str) -> None:
    """No handler is installed, and nothing pushed."""
    program = source(BEGIN, "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL", WAIT)
    status, _, err = ended(program, fake_gateway.address, kind, sends=signal.SIGTERM)
    assert (status, err) == (-signal.SIGTERM, "")
    assert not fake_gateway.requests


HANDLER = """
calls = []
def handler(number, frame):
    calls.append(number)
    print("called", number, frame is not None, flush=True)
    {then}
signal.signal(signal.SIGTERM, handler)
"""


@pytest.mark.parametrize("kind", EXITS)
def test_a_handler_that_exits(fake_gateway: FakeGateway, kind: str) -> None:
    """It is called once, when the last state has been pushed, and the program ends as it says."""
    seen = 'import urllib.request as web; web.urlopen(web.Request(f"http://{address}/x", method="POST"))'
    program = source(HANDLER.format(then=f"{seen}; sys.exit(7)"), BEGIN, WAIT)
    status, out, err = ended(program, fake_gateway.address, kind, "handle_sigterm=True", sends=signal.SIGTERM)
    assert (status, out) == (7, f"called {signal.SIGTERM:d} True\n")
    paths = [request.path for request in fake_gateway.requests]
    assert paths.count("/x") == 1
    pushed = Page(fake_gateway.requests[paths.index(TRAIN)].body)
    assert paths.index(TRAIN) < paths.index("/x")
    assert pushed.value("gangplank_train_steps_total") == 3
    assert outcome(fake_gateway) == "interrupted"
    assert err == ""  # with warnings shown: no socket is left open


@pytest.mark.parametrize("kind", EXITS)
def test_a_handler_that_goes_on(fake_gateway: FakeGateway, kind: str) -> None:
    """The run is not ended by a signal that the program survives."""
    loop = """
    print("ready", flush=True)
    while not calls: time.sleep(0.01)
    assert run.is_on
    run.end()
    """
    program = source(HANDLER.format(then="pass"), BEGIN, loop)
    status, out, err = ended(program, fake_gateway.address, kind, "handle_sigterm=True", sends=signal.SIGTERM)
    assert (status, out) == (0, f"called {signal.SIGTERM:d} True\n")
    first = next(request for request in fake_gateway.requests if request.path == TRAIN)
    assert Page(first.body).value("gangplank_train_running") == 1
    assert outcome(fake_gateway) == "success"
    assert err == ""


@pytest.mark.parametrize("kind", EXITS)
def test_sigterm_that_the_program_ignores(fake_gateway: FakeGateway, kind: str) -> None:
    """Stays ignored."""
    ignores = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    check = "os.kill(os.getpid(), signal.SIGTERM); assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN; run.end()"
    program = source(ignores, BEGIN, 'print("ready", flush=True)', check)
    assert ended(program, fake_gateway.address, kind, "handle_sigterm=True") == (0, "", "")
    assert outcome(fake_gateway) == "success"


@pytest.mark.parametrize("kind", EXITS)
def test_a_second_sigterm(fake_gateway: FakeGateway, kind: str) -> None:
    """Is not kept waiting by a gateway that says nothing to what the first had pushed."""
    fake_gateway.held.clear()
    with started(source(BEGIN, WAIT), fake_gateway.address, kind, "handle_sigterm=True", "timeout=600") as process:
        process.send_signal(signal.SIGTERM)
        fake_gateway.wait_for(1)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM
        assert time.monotonic() - began < 4  # and not the five seconds of the first
    assert [request.path for request in fake_gateway.requests] == [TRAIN]


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize("handler", ["", HANDLER.format(then="sys.exit(7)")])
def test_sigterm_with_a_silent_gateway(fake_gateway: FakeGateway, kind: str, handler: str) -> None:
    """The signal gets through when the time is over, that of one last push."""
    fake_gateway.held.clear()
    began = time.monotonic()
    status, _, err = ended(
        source(handler, BEGIN, WAIT), fake_gateway.address, kind, "handle_sigterm=True", sends=signal.SIGTERM
    )
    assert time.monotonic() - began < (9 if not handler else 15)
    assert status == (7 if handler else -signal.SIGTERM)
    assert "did not answer" in err


def test_sigterm_with_many_silent_exits(fake_gateway: FakeGateway) -> None:
    """The readers of a program share the time that one has."""
    fake_gateway.held.clear()
    both = """
    from opentelemetry.sdk.metrics import MeterProvider
    providers = [MeterProvider([PushgatewayMetricReader(address, f"job{n}", handle_sigterm=True)]) for n in range(5)]
    for provider in providers:
        provider.get_meter("x").create_counter("y").add(1)
    """
    with started(source(BEGIN, both, WAIT), fake_gateway.address, "exporter") as process:
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == -signal.SIGTERM
        assert time.monotonic() - began < 16


@pytest.mark.parametrize("kind", EXITS)
def test_sigterm_is_for_the_main_thread_to_handle(kind: str) -> None:
    """Elsewhere it is a clear error, and nothing is left running."""
    errors: list[BaseException] = []

    def begin() -> None:
        try:
            if kind == "reader":
                PushgatewayMetricReader("localhost", "mnist", handle_sigterm=True)
            else:
                Telemetry(exporters=[PushgatewayExporter("localhost", "mnist", handle_sigterm=True)]).start()
        except ConfigurationError as error:
            errors.append(error)

    before = set(threading.enumerate())
    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    [error] = errors
    assert "handle_sigterm" in str(error)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert set(threading.enumerate()) <= before

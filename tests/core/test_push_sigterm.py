"""SIGTERM for processes that push: what is handled if asked, and what the program does about it itself."""

from __future__ import annotations

import signal
import subprocess
import threading
import time

import pytest
from endings import BEGIN, WAIT, ended, outcome, source, started
from faultserver import EXITS, Exit
from processes import Page
from pushes import TRAIN
from realservers import wait_for

from gangplank.testing import FakeGateway


@pytest.mark.parametrize("kind", EXITS)
def test_sigterm(fake_gateway: FakeGateway, kind: str) -> None:
    """Asked to, it pushes that the run was interrupted, and the process dies of the signal as it would have."""
    program = source(BEGIN, WAIT)
    status, _, err = ended(program, fake_gateway.address, kind, "handle_sigterm=True", sends=signal.SIGTERM)
    assert status == -signal.SIGTERM
    assert outcome(fake_gateway) == "interrupted"
    assert err == ""


def test_sigterm_in_a_container(fake_gateway: FakeGateway) -> None:
    """Its first process gets no signal that it has no handler for, not from itself either: it ends all the same."""
    first = "os.getpid, os.kill = lambda: 1, lambda *_: None"  # a namespace of its own takes rights that not all have
    program = source(first, BEGIN, WAIT)
    status, _, err = ended(program, fake_gateway.address, "exporter", "handle_sigterm=True", sends=signal.SIGTERM)
    assert (status, err) == (128 + signal.SIGTERM, "")
    assert outcome(fake_gateway) == "interrupted"


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
def test_sigterm_off_the_main_thread(fake_gateway: FakeGateway, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Cannot be handled there, which is said, and no reason not to push: a variable may be set for a whole fleet."""

    def train() -> None:
        pushing = Exit(kind, fake_gateway.address, handle_sigterm=True)
        pushing.write(0.5)
        pushing.close()

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    [record] = caplog.records
    assert "could not handle SIGTERM" in record.getMessage()
    assert TRAIN in [request.path for request in fake_gateway.requests]


def test_sigterm_while_it_is_closing(fake_gateway: FakeGateway) -> None:
    """Waits for the last push, which is under way."""
    fake_gateway.held.clear()
    program = source(
        BEGIN,
        """
        run.end()
        closing = threading.Thread(target=telemetry.close)
        closing.start()
        print("ready", flush=True)
        while True: time.sleep(0.01)
        """,
    )
    with started(program, fake_gateway.address, "exporter", "handle_sigterm=True") as process:
        wait_for(lambda: fake_gateway.requests)
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        fake_gateway.held.set()
        assert process.wait(20) == -signal.SIGTERM
    assert outcome(fake_gateway) == "success"
    assert any(request.path.endswith("/model/net") for request in fake_gateway.requests)


def test_an_event_loops_handler_is_called_once(fake_gateway: FakeGateway) -> None:
    """It runs by the first signal, whatever else handles that."""
    program = source(
        """
        import asyncio

        async def serve():
            loop, calls = asyncio.get_running_loop(), []
            loop.add_signal_handler(signal.SIGTERM, calls.append, 1)
            telemetry, _ = setup(**settings)
            TrainingRun(telemetry, "net").step_to(3)
            print("ready", flush=True)
            while not calls:
                await asyncio.sleep(0.01)
            await asyncio.get_running_loop().run_in_executor(None, telemetry.close)
            await asyncio.sleep(0.2)
            print(len(calls))

        asyncio.run(serve())
        """
    )
    status, out, err = ended(program, fake_gateway.address, "exporter", "handle_sigterm=True", sends=signal.SIGTERM)
    assert (status, out, err) == (0, "1\n", "")
    assert outcome(fake_gateway) == "interrupted"

"""How processes that push end: the last state is at the gateway, and the end is as it would have been."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from faults import EXITS
from processes import Page
from pushes import BASE, TRAIN
from realservers import Gateway, wait_for

from gangplank import ConfigurationError, PushgatewayExporter, PushgatewayMetricReader, Telemetry
from gangplank.testing import FakeGateway

PRELUDE = """
import os, signal, sys, threading, time
from gangplank import PushgatewayExporter, PushgatewayMetricReader, Telemetry
from gangplank.runs import TrainingRun

_, address, kind, *given = sys.argv
settings = dict(eval("dict(" + ",".join(given) + ")"))
settings.setdefault("interval", 3600)
before = globals().get("before")

def setup(**settings):
    if kind == "exporter":
        telemetry = Telemetry(exporters=[PushgatewayExporter(address, "mnist", **settings)])
        telemetry.start()
        return telemetry, telemetry
    from opentelemetry.sdk.metrics import MeterProvider
    provider = MeterProvider([PushgatewayMetricReader(address, "mnist", **settings)])
    telemetry = Telemetry(meter_provider=provider)
    telemetry.start()
    return telemetry, provider
"""
BEGIN = """
telemetry, pushing = setup(**settings)
run = TrainingRun(telemetry, "net")
run.step_to(3)
"""
WAIT = """
print("ready", flush=True)
while True: time.sleep(0.01)
"""


def source(*parts: str) -> str:
    """Return a program of these parts."""
    return PRELUDE + "\n".join(map(textwrap.dedent, parts))


@contextmanager
def started(program: str, address: str, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """Run a program until the block ends; the block begins when it has said that it is ready."""
    command = [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    process = subprocess.Popen(
        [*command, "-c", program, address, *filter(None, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


def ended(program: str, address: str, *arguments: str, sends: int = 0) -> tuple[int, str, str]:
    """Run a program, send it a signal when it is ready, and return its status, output and errors."""
    with started(program, address, *arguments) as process:
        if sends:
            process.send_signal(sends)
        out, err = process.communicate(timeout=40)
        return process.returncode, out, err


def outcome(gateway: FakeGateway) -> str | None:
    """Return the outcome that the gateway was told last, of a run of three steps."""
    [*_, last] = [request.body for request in gateway.requests if request.path == TRAIN]
    page = Page(last)
    assert page.value("gangplank_train_steps_total") == 3
    told = [
        one
        for one in ("success", "failed", "interrupted", "diverged")
        if page.value("gangplank_train_outcome", outcome=one)
    ]
    assert len(told) <= 1
    return told[0] if told else None


ENDINGS = [
    ("run.end()", 0, "success"),
    ("pass", 0, "interrupted"),
    ("raise ValueError", 1, "failed"),
    ("sys.exit(3)", 3, "interrupted"),
    ("os.kill(os.getpid(), signal.SIGINT); time.sleep(20)", -signal.SIGINT, "interrupted"),
    ("threading.Thread(target=lambda: (time.sleep(0.3), run.end())).start()", 0, "success"),
]


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize(("ending", "code", "said"), ENDINGS)
def test_the_last_push(fake_gateway: FakeGateway, kind: str, ending: str, code: int, said: str) -> None:
    """However the program ends, with the status that it would have had, and how it ended in the last push."""
    program = source(BEGIN, 'print("ready", flush=True)', ending)
    status, _, err = ended(program, fake_gateway.address, kind)
    assert status == code
    assert outcome(fake_gateway) == said
    assert "gangplank" not in err


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


@pytest.mark.parametrize(
    ("kind", "setting", "bound"),
    [
        ("exporter", "", 10),
        ("reader", "", 10),
        ("exporter", "timeout=600", 10),
        ("exporter", "timeout=0.5", 8),
        ("reader", "timeout=0.5", 5),
    ],
)
def test_a_silent_gateway(fake_gateway: FakeGateway, kind: str, setting: str, bound: float) -> None:
    """Five seconds are the most that it keeps a program; a reader's timeout is the bound of its end, too."""
    fake_gateway.held.clear()
    began = time.monotonic()
    status, _, err = ended(source(BEGIN, 'print("ready", flush=True)'), fake_gateway.address, kind, setting)
    assert time.monotonic() - began < bound
    assert status == 0
    assert "last push may be lost" in err or "was not delivered" in err
    assert "Traceback" not in err


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


FORK = """
def child():
    run.step_to(99)
    telemetry.notify()
    {then}
"""
FORKS = {
    "os.fork": """
pid = os.fork()
if pid == 0:
    child()
    sys.exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""",
    "multiprocessing": """
import multiprocessing
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join()
print(process.exitcode)
""",
}


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize("way", FORKS)
@pytest.mark.parametrize(
    "then", ["pass", "telemetry.close(); pushing.force_flush() if pushing is not telemetry else 0"]
)
def test_a_forked_child(fake_gateway: FakeGateway, kind: str, way: str, then: str) -> None:
    """Pushes nothing and ends as it likes, while the parent is in the middle of a push that is held."""
    fake_gateway.held.clear()
    ask = "pushing.notify() if pushing is telemetry else None"
    program = source(
        BEGIN, ask, 'print("ready", flush=True)', "sys.stdin.readline()", FORK.format(then=then), FORKS[way]
    )
    let_go = 'print("let go", flush=True)\nsys.stdin.readline()\nrun.end()'
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        program + let_go,
        fake_gateway.address,
        kind,
        "handle_sigterm=True",
    ]
    interval = "interval=0.1" if kind == "reader" else "interval=3600"
    with subprocess.Popen([*command, interval], stdin=-1, stdout=-1, stderr=-1, text=True) as process:
        fake_gateway.wait_for(1)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        lines = [process.stdout.readline() for _ in range(3)]
        assert lines == ["ready\n", "0\n", "let go\n"]
        assert len(fake_gateway.requests) == 1
        fake_gateway.held.set()
        process.communicate("go\n", timeout=30)
    assert process.returncode == 0
    assert outcome(fake_gateway) == "success"
    assert not [request for request in fake_gateway.requests if " 99.0\n" in request.body]


@pytest.mark.parametrize("kind", EXITS)
def test_a_child_that_is_terminated(fake_gateway: FakeGateway, kind: str) -> None:
    """It has its parent's handler, which has nothing to deliver there, and dies of the signal."""
    fork = """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        print("ready", flush=True)
        os.write(writing, b"x")
        while True: time.sleep(0.01)
    os.read(reading, 1)
    os.kill(pid, signal.SIGTERM)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == -signal.SIGTERM, status
    run.end()
    """
    assert ended(source(BEGIN, fork), fake_gateway.address, kind, "handle_sigterm=True") == (0, "", "")
    assert outcome(fake_gateway) == "success"
    assert [request.path for request in fake_gateway.requests].count(TRAIN) == 1


def groups(gateway: Gateway) -> set[tuple[tuple[str, str], ...]]:
    """Return the labels of all groups of a gateway."""
    return {tuple(sorted((k, v) for k, v in labels.items() if v)) for labels, _ in gateway.series("push_time_seconds")}


def others(gateway: Gateway) -> set[tuple[tuple[str, str], ...]]:
    """Put groups of others at a gateway, and return their labels."""
    for path in ("job/other", "job/mnist/instance/b", "job/mnist/phase/train/instance/a", "job/mnist/phase/test"):
        urlopen(Request(f"{gateway.url}/metrics/{path}", b"theirs 1\n", method="PUT")).close()
    found = groups(gateway)
    assert len(found) == 4
    return found


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize("key", ["", "grouping_key={'instance':'c/d'}"])
def test_delete(gateway: Gateway, kind: str, key: str) -> None:
    """At the end it takes away what it pushed, and nobody else's."""
    theirs = others(gateway)
    program = source(BEGIN, 'print("ready", flush=True)', "run.end()")
    kept = ended(program, gateway.address, kind, key)
    assert (kept[0], kept[2]) == (0, "")
    assert len(groups(gateway)) == len(theirs) + 3  # the run's, the model's, the export's
    assert ended(program, gateway.address, kind, key, "at_end='delete'") == (0, "", "")
    assert groups(gateway) == theirs


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize("ending", ["", "raise ValueError"])
def test_delete_after_a_delay(gateway: Gateway, kind: str, ending: str) -> None:
    """The process waits with the last values on show, longer than a push may take, and then takes them away."""
    program = source(BEGIN, 'print("ready", flush=True)', "run.end()", ending)
    with started(program, gateway.address, kind, "at_end='delete'", "delete_delay=2", "timeout=0.5") as process:
        wait_for(lambda: gateway.value("gangplank_train_outcome", outcome="success") == 1)
        assert process.poll() is None
        assert process.wait(20) == (1 if ending else 0)
    assert groups(gateway) == set()


@pytest.mark.parametrize("kind", EXITS)
def test_delete_on_sigterm(gateway: Gateway, kind: str) -> None:
    """An end like any other."""
    theirs = others(gateway)
    program = source(BEGIN, WAIT)
    arguments = ("handle_sigterm=True", "at_end='delete'")
    assert ended(program, gateway.address, kind, *arguments, sends=signal.SIGTERM) == (-signal.SIGTERM, "", "")
    assert groups(gateway) == theirs


@pytest.mark.parametrize("kind", EXITS)
def test_delete_at_a_gateway_that_falls_silent(fake_gateway: FakeGateway, kind: str) -> None:
    """The groups stay, and the process does not."""
    program = source(BEGIN, 'print("ready", flush=True)', "run.end()")
    arguments = (kind, "at_end='delete'", "delete_delay=1")
    with started(program, fake_gateway.address, *arguments) as process:
        wait_for(lambda: [request.path for request in fake_gateway.requests].count(BASE) >= 1)
        fake_gateway.held.clear()
        began = time.monotonic()
        assert process.wait(40) == 0
        assert time.monotonic() - began < 15
    assert [request.method for request in fake_gateway.requests].count("DELETE") == 1


@pytest.mark.parametrize("kind", EXITS)
def test_nothing_was_pushed_and_nothing_is_deleted(fake_gateway: FakeGateway, kind: str) -> None:
    """A program that measured nothing leaves the groups of its job alone."""
    program = source("telemetry, pushing = setup(**settings)", 'print("ready", flush=True)')
    assert ended(program, fake_gateway.address, kind, "at_end='delete'") == (0, "", "")
    assert not fake_gateway.requests


def test_a_program_that_closes_a_provider_twice(tmp_path: Path, fake_gateway: FakeGateway) -> None:
    """Pushes once: what is shut down has nothing more to say, and does not say that it succeeded in that."""
    program = source(BEGIN, 'print("ready", flush=True)', "run.end(); telemetry.close(); pushing.shutdown()")
    check = "reader = PushgatewayMetricReader(address, 'x'); reader.shutdown(); assert not reader.force_flush()"
    assert ended(program + "\n" + check, fake_gateway.address, "reader") == (0, "", "")
    assert outcome(fake_gateway) == "success"

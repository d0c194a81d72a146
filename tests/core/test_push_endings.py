"""How processes that push end: the last state is at the gateway, and the end is as it would have been."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from endings import BEGIN, ended, outcome, source
from faultserver import EXITS
from pushes import TRAIN

from gangplank.testing import FakeGateway

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
    assert "the last push to it may be lost" in err or "was not delivered" in err
    assert "Traceback" not in err


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


def test_a_program_that_closes_a_provider_twice(tmp_path: Path, fake_gateway: FakeGateway) -> None:
    """Pushes once: what is shut down has nothing more to say, and does not say that it succeeded in that."""
    program = source(BEGIN, 'print("ready", flush=True)', "run.end(); telemetry.close(); pushing.shutdown()")
    check = "reader = PushgatewayMetricReader(address, 'x'); reader.shutdown(); assert not reader.force_flush()"
    assert ended(program + "\n" + check, fake_gateway.address, "reader") == (0, "", "")
    assert outcome(fake_gateway) == "success"

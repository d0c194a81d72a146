"""The end of a process: what was true last is delivered however it ends, and in time; a forked child keeps out."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable

import pytest

from gangplank.testing import FakeGateway

Script = Callable[..., "subprocess.CompletedProcess[str]"]

PRELUDE = """
import os, sys, time
from gangplank import PrometheusExporter, PushgatewayExporter, Telemetry
from gangplank.training import TrainingRun

exporter = PushgatewayExporter(sys.argv[1], "mnist", interval=3600)
telemetry = Telemetry(exporters=[exporter])
telemetry.start()
run = TrainingRun(telemetry, "net")
run.step_to(3)
"""


def outcome(gateway: FakeGateway) -> list[str]:
    """Return how the run ended, as the gateway was told last."""
    bodies = [request.body for request in gateway.requests if request.path.endswith("/phase/train")]
    assert bodies
    assert 'gangplank_train_steps_total{model="net"} 3.0' in bodies[-1]
    return [
        line.split('outcome="')[1].split('"')[0]
        for line in bodies[-1].splitlines()
        if line.startswith("gangplank_train_outcome{") and line.endswith(" 1.0")
    ]


@pytest.mark.parametrize(
    ("ending", "code", "said"),
    [
        ("run.end()", 0, "success"),
        ("", 0, "interrupted"),
        ("raise ValueError('the host\\'s own')", 1, "failed"),
        ("sys.exit(3)", 3, "interrupted"),
        ("raise KeyboardInterrupt", -signal.SIGINT, "interrupted"),
        ("run.end(MemoryError()); sys.exit(1)", 1, "failed"),
    ],
)
def test_the_last_state_is_delivered(
    script: Script, fake_gateway: FakeGateway, ending: str, code: int, said: str
) -> None:
    """At the end of the script, by an exception nobody caught, by sys.exit: and the gateway is told which."""
    process = script(PRELUDE + ending, fake_gateway.address)
    assert process.returncode == code
    assert outcome(fake_gateway) == [said]
    assert "gangplank" not in process.stderr


def test_ctrl_c_delivers_the_last_state(fake_gateway: FakeGateway) -> None:
    """A signal from outside, in the middle of a step."""
    source = PRELUDE + 'print("ready", flush=True)\nwhile True: time.sleep(0.01)\n'
    process = subprocess.Popen(
        [sys.executable, "-c", source, fake_gateway.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in errors
    assert outcome(fake_gateway) == ["interrupted"]


@pytest.mark.parametrize("ending", ["", "telemetry.notify()\nraise ValueError"])
def test_a_silent_gateway_does_not_keep_a_process(script: Script, fake_gateway: FakeGateway, ending: str) -> None:
    """It is given five seconds, and then the process ends with the code it would have had."""
    fake_gateway.held.clear()
    began = time.monotonic()
    process = script(PRELUDE + ending, fake_gateway.address)
    assert time.monotonic() - began < 15
    assert process.returncode == ("raise" in ending)
    assert "did not answer in time" in process.stderr
    assert len(fake_gateway.requests) == 1


def test_a_gateway_that_is_not_there_does_not_change_how_a_process_ends(script: Script) -> None:
    """It is logged, once, and that is all."""
    process = script(PRELUDE + "telemetry.notify()\nrun.end()", "127.0.0.1:1")
    assert process.returncode == 0
    assert process.stdout == ""
    assert process.stderr.count("could not push") == 1
    assert "Traceback" not in process.stderr


def test_a_forked_child_pushes_nothing(script: Script, fake_gateway: FakeGateway) -> None:
    """It has a copy of its parent's state, and no business to push it: not by notify, flush, close or its end."""
    process = script(
        PRELUDE
        + textwrap.dedent("""
        telemetry.flush()
        pid = os.fork()
        if pid == 0:
            run.step_to(99)
            telemetry.notify()
            telemetry.flush()
            telemetry.close()
            sys.exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        run.end()
        """),
        fake_gateway.address,
    )
    assert (process.stdout, process.returncode) == ("7\n", 0)
    assert "push" not in process.stderr
    assert outcome(fake_gateway) == ["success"]
    lines = [line for request in fake_gateway.requests for line in request.body.splitlines()]
    assert {line for line in lines if line.startswith("gangplank_train_steps_total")} == {
        'gangplank_train_steps_total{model="net"} 3.0'
    }


def test_a_forked_child_ends_when_it_wants_to(script: Script, fake_gateway: FakeGateway) -> None:
    """The scrape server's thread is the parent's, and not there to be waited for; the parent serves on."""
    process = script(
        PRELUDE
        + textwrap.dedent("""
        from urllib.request import urlopen

        server = telemetry.attach(PrometheusExporter(port=0))
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            telemetry.close(timeout=20)
            sys.exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        print(time.monotonic() - began < 10)
        print(b"gangplank_train_running" in urlopen(server.url, timeout=10).read())
        """),
        fake_gateway.address,
    )
    assert (process.stdout, process.stderr, process.returncode) == ("7\nTrue\nTrue\n", "", 0)


def test_a_process_that_closes_leaves_nothing_for_its_end(script: Script, fake_gateway: FakeGateway) -> None:
    """Closed is closed: nothing is delivered twice."""
    process = script(PRELUDE + "run.end()\ntelemetry.close()\nprint('closed', flush=True)", fake_gateway.address)
    assert (process.stdout, process.stderr, process.returncode) == ("closed\n", "", 0)
    assert [request.method for request in fake_gateway.requests] == ["PUT", "POST", "POST"]
    assert outcome(fake_gateway) == ["success"]

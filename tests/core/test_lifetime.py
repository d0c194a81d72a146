"""The end of a program that pushes to several gateways, is interrupted while it ends, or is a child."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from endings import BEGIN, PRELUDE, ended, outcome, source, started
from faults import Fault, Visit, status
from faultserver import EXITS, Server
from pushes import TRAIN
from realservers import wait_for

from gangplank.testing import FakeGateway

TWO = {
    "two readers of a provider": """
        from opentelemetry.sdk.metrics import MeterProvider
        provider = MeterProvider([PushgatewayMetricReader(address, job) for job in "ab"])
        provider.get_meter("x").create_counter("c").add(1)
        """,
    "two providers": """
        from opentelemetry.sdk.metrics import MeterProvider
        providers = [MeterProvider([PushgatewayMetricReader(address, job)]) for job in "ab"]
        for provider in providers:
            provider.get_meter("x").create_counter("c").add(1)
        """,
    "a reader and an exporter": """
        from opentelemetry.sdk.metrics import MeterProvider
        provider = MeterProvider([PushgatewayMetricReader(address, "a")])
        provider.get_meter("x").create_counter("c").add(1)
        telemetry = Telemetry(exporters=[PushgatewayExporter(address, "b")])
        telemetry.start()
        TrainingRun(telemetry, "net").step_to(3)
        """,
}


@pytest.mark.parametrize("exits", TWO)
def test_silent_gateways_are_waited_for_side_by_side(fake_gateway: FakeGateway, exits: str) -> None:
    """All of them are still being waited for when the last request comes, and none for long."""
    fake_gateway.held.clear()
    began = time.monotonic()
    code, _, err = ended(source(TWO[exits], 'print("ready", flush=True)'), fake_gateway.address, "exporter")
    assert code == 0
    assert err.count("did not answer in time") == 2
    assert time.monotonic() - began < 9  # one after the other they would take ten seconds


CHILD = (
    PRELUDE.replace("_, address, kind, *given = sys.argv", "address, kind, *given = {given!r}")
    + """
telemetry = None

def train():
    global telemetry
    telemetry, pushing = setup(**settings)
    run = TrainingRun(telemetry, "net")
    run.step_to(3)
    {end}

if __name__ == "__main__":
    import multiprocessing
    process = multiprocessing.get_context({way!r}).Process(target=train)
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""
)


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize("way", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize(("end", "told"), [("run.end()", "success"), ("raise SystemExit(3)", "interrupted")])
def test_a_child_that_trains(
    fake_gateway: FakeGateway, tmp_path: Path, kind: str, way: str, end: str, told: str
) -> None:
    """Pushes for the last time when it ends, which ``multiprocessing`` does in a way of its own."""
    program = tmp_path / "program.py"
    program.write_text(CHILD.format(given=[fake_gateway.address, kind], way=way, end=end))
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0 if told == "success" else 3, "")
    assert outcome(fake_gateway) == told


def test_ctrl_c_while_it_closes(fake_gateway: FakeGateway) -> None:
    """The end of the program takes up what was interrupted."""
    program = source(
        BEGIN,
        """
        def drain(seconds):
            print("ready", flush=True)
            time.sleep(seconds)

        take_back = telemetry.on_delivery(drain)
        try:
            run.end()
            telemetry.close()
        except KeyboardInterrupt:
            take_back()
            print("interrupted")
        """,
    )
    assert ended(program, fake_gateway.address, "exporter", sends=signal.SIGINT) == (0, "interrupted\n", "")
    assert outcome(fake_gateway) == "success"


def test_ctrl_c_while_the_last_push_is_waited_for(fake_gateway: FakeGateway) -> None:
    """The same."""
    fake_gateway.held.clear()
    program = source(
        BEGIN,
        """
        print("ready", flush=True)
        try:
            run.end()
            telemetry.close()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        """,
    )
    with started(program, fake_gateway.address, "exporter") as process:
        wait_for(lambda: fake_gateway.requests)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "interrupted\n"
        fake_gateway.held.set()
        assert process.wait(20) == 0
    assert outcome(fake_gateway) == "success"
    assert {request.path for request in fake_gateway.requests} >= {TRAIN, "/metrics/job/mnist/model/net"}


def test_a_slow_gateway_of_a_short_timeout_gets_everything(tmp_path: Path) -> None:
    """The timeout is of one push, and not of the end."""
    bodies: list[str] = []

    def slowly(visit: Visit) -> None:
        while not visit.over.is_set() and (request := visit.request()) is not None:
            visit.over.wait(0.3)
            bodies.append(request.body)
            visit.say(status(200))

    program = source(
        BEGIN, 'pushing.get_meter("x").create_counter("own").add(1)', "run.end()", 'print("ready", flush=True)'
    )
    with Server(Fault(slowly), tmp_path) as server:
        assert ended(program, server.url, "reader", "timeout=0.5") == (0, "", "")
    assert any("own_total 1.0" in body for body in bodies)


def test_forked_processes_do_not_push_in_step() -> None:
    """Else a pre-fork server's workers, or a launcher's, all push together."""
    program = """
import os
from gangplank.exporters.pushgateway.schedule import Schedule
for _ in range(4):
    if os.fork() == 0:
        print(Schedule(3600)._due - __import__("time").monotonic() // 3600 * 3600, flush=True)
        os._exit(0)
    os.wait()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    times = [float(line) for line in done.stdout.splitlines()]
    assert max(times) - min(times) > 1

"""Forks: a child neither hangs nor speaks for its parent."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

Script = Callable[..., "subprocess.CompletedProcess[str]"]

PRELUDE = """
import io, os, sys, threading, time
from gangplank import Telemetry
from gangplank.catalogue import model_metric
from gangplank.metrics import Phase
from gangplank.training import TrainingRun
"""


def test_a_child_exports_nothing_through_the_provider_of_its_parent(script: Script) -> None:
    """Not at its end, and not by the ticker that the SDK starts again in it."""
    process = script(
        PRELUDE
        + """
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter
os.environ["OTEL_METRIC_EXPORT_INTERVAL"] = "50"
exported = io.StringIO()
telemetry = Telemetry(exporters=[ConsoleMetricExporter(exported)])
telemetry.start()
run = TrainingRun(telemetry, "net")
telemetry.flush()
assert exported.getvalue()
pid = os.fork()
if pid == 0:
    exported.truncate(0)
    exported.seek(0)
    for _ in range(20):
        time.sleep(0.01)
    telemetry.close()
    os._exit(1 if exported.getvalue() else 7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), run.is_on)
run.end()
telemetry.close()
assert '"success"' in exported.getvalue()
"""
    )
    assert (process.stdout, process.stderr) == ("7 True\n", "")


def test_threads_that_fork_while_others_write(script: Script) -> None:
    """Whichever thread holds whatever lock at the moment of a fork, parent and children go on."""
    process = script(
        PRELUDE
        + """
telemetry = Telemetry()
loss = telemetry.state.gauge(model_metric(Phase.TRAIN, "loss"), model="net")
stop = threading.Event()
done = []

def write():
    while not stop.is_set():
        loss.set(0.5)
        telemetry.state.read()

def fork():
    for _ in range(40):
        pid = os.fork()
        if pid == 0:
            loss.set(0.25)
            telemetry.state.read()
            os._exit(0)
        done.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

writers = [threading.Thread(target=write) for _ in range(2)]
forkers = [threading.Thread(target=fork) for _ in range(2)]
for thread in writers + forkers:
    thread.start()
for thread in forkers:
    thread.join()
stop.set()
for thread in writers:
    thread.join()
print(len(done), set(done))
"""
    )
    assert (process.stdout, process.stderr) == ("80 {0}\n", "")


def test_a_child_that_starts_a_telemetry_of_its_own_closes_it(script: Script) -> None:
    """What was made before the fork, and started after it, is the child's."""
    process = script(
        PRELUDE
        + """
from gangplank.testing import InMemoryExporter
exporter = InMemoryExporter()
telemetry = Telemetry(exporters=[exporter])
pid = os.fork()
if pid == 0:
    telemetry.start()
    run = TrainingRun(telemetry, "net")
    telemetry.close()
    os._exit(7 if telemetry.is_closed and not run.is_on else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), telemetry.is_closed)
"""
    )
    assert (process.stdout, process.stderr) == ("7 False\n", "")

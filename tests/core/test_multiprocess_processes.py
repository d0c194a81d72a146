"""Real processes, forked or not: one scrape shows all of them, exactly, whatever becomes of them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from processes import Page, Process, Processes, scrape
from realservers import wait_for


@pytest.fixture
def served(tmp_path: Path, port: int) -> str:
    """What has a process serve a model: together with others, at the one port."""
    return f"service = Service(telemetry_in({str(tmp_path / 'workers')!r}, {port}))"


@pytest.fixture
def parent(processes: Processes, served: str) -> Process:
    """A process that has loaded the model before it forks, as gunicorn does with --preload."""
    return processes.start(served)


def files(tmp_path: Path) -> int:
    """Return how many files hold series."""
    return len(list((tmp_path / "workers").glob("*.gangplank")))


def is_exact(page: Page, calls: int) -> bool:
    """Whether a scrape shows that many calls of two samples each, in every series that counts them."""
    names = ("total", "duration_seconds_count", "batch_size_count", "batch_size_sum", "in_flight")
    assert page.values(*names) == [2 * calls, calls, calls, 2 * calls, 0]
    assert page.value("gangplank_predict_batch_size_bucket", le="1.0") == 0
    assert page.value("gangplank_predict_batch_size_bucket", le="2.0") == calls
    assert page.value("gangplank_predict_duration_seconds_bucket", le="+Inf") == calls
    return True


def at_once(processes: list[Process], source: str) -> None:
    """Have processes do something at the same time."""
    threads = [threading.Thread(target=process.do, args=(source,)) for process in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_forked_children_are_counted_exactly_whatever_becomes_of_them(
    parent: Process, port: int, tmp_path: Path
) -> None:
    """Alive, killed, replaced, and after each of these has been folded into the archive."""
    parent.do("service.serve(10)")
    children = [parent.fork() for _ in range(3)]
    assert is_exact(scrape(port), 10)
    at_once(children, "service.serve(1000, 2)")
    assert is_exact(scrape(port), 3010)
    for number, child in enumerate(children):
        child.kill()
        assert is_exact(scrape(port), 3010 + 1000 * number)
        replacement = parent.fork()
        replacement.do("service.serve(1000, 2)")
        assert is_exact(scrape(port), 3010 + 1000 * (number + 1))
    assert files(tmp_path) == 5  # the archive, the parent, and three children


def test_processes_that_load_for_themselves_are_counted_exactly(processes: Processes, served: str, port: int) -> None:
    """As gunicorn's workers do without --preload: whichever of them serves the port, and when it is killed."""
    workers = [processes.start(served) for _ in range(3)]
    at_once(workers, "service.serve(1000, 2)")
    assert is_exact(scrape(port), 3000)
    workers.pop(0).kill()
    assert is_exact(wait_for(lambda: page_of(port)), 3000)
    workers.append(processes.start(served))
    at_once(workers, "service.serve(100, 2)")
    assert is_exact(scrape(port), 3300)
    workers.pop(0).end()
    assert is_exact(wait_for(lambda: page_of(port)), 3300)


def page_of(port: int) -> Page | None:
    """Return what is served, if anything is."""
    try:
        return scrape(port)
    except OSError:
        return None


def test_counts_go_on_over_a_restart_of_everything(processes: Processes, served: str, port: int) -> None:
    """As long as the directory is there."""
    for round_ in range(1, 4):
        workers = [processes.start(served) for _ in range(2)]
        at_once(workers, "service.serve(50)")
        assert is_exact(scrape(port), 100 * round_)
        workers[0].kill()
        workers[1].end()


def test_threads_that_write_while_others_fork_lose_nothing(parent: Process, port: int) -> None:
    """A child begins with none of the numbers that it has a copy of."""
    parent.do("running = threading.Thread(target=service.serve, args=(20_000, 2)); running.start()")
    children = [parent.fork() for _ in range(5)]
    at_once(children, "service.serve(100)")
    parent.do("running.join()")
    assert is_exact(scrape(port), 20_500)


def test_a_child_of_a_child_counts_too(parent: Process, port: int) -> None:
    """And goes on when the one in between is gone."""
    child = parent.fork()
    grandchild = child.fork()
    at_once([parent, child, grandchild], "service.serve(10)")
    assert is_exact(scrape(port), 30)
    child.kill()
    grandchild.do("service.serve(10)")
    assert is_exact(scrape(port), 40)


def test_only_the_living_have_calls_in_flight(parent: Process, port: int, tmp_path: Path) -> None:
    """A process that is killed in the middle of a call takes it along; the call was never finished, nor counted."""
    children = [parent.fork() for _ in range(2)]
    at_once(children, "service.hold()")
    parent.do("service.hold()")
    children[0].do("service.hold()")
    assert scrape(port).values("in_flight") == [4]
    children[0].kill()
    for _ in range(2):
        assert scrape(port).values("in_flight", "total") == [2, 0]
    at_once([parent, children[1]], "service.let_go()")
    assert scrape(port).values("in_flight", "total") == [0, 2]


def test_drift_of_the_living_and_the_last_call_of_anyone(parent: Process, port: int) -> None:
    """What a process found last is not shown for ever; when somebody last predicted is."""
    parent.do(
        """
from gangplank.drift.result import Drift
from gangplank.drift_series import DriftSeries
drift = DriftSeries(service.telemetry, "net")
drift.tested(10, Drift(1, 0.125, 2.0))
"""
    )
    children = [parent.fork() for _ in range(2)]
    for child, p_value in zip(children, (0.25, 0.5), strict=True):
        child.do(f"drift.tested(10, Drift(1, {p_value}, 2.0))")
        child.do("service.serve(1)")
    names = ("drift_p_value", "drift_detected_total")
    before = scrape(port)
    assert before.values(*names) == [0.5, 3]
    children[1].kill()
    assert scrape(port).values(*names) == [0.25, 3]
    children[0].kill()
    after = scrape(port)
    assert after.values(*names) == [0.125, 3]
    assert after.values("last_timestamp_seconds") == before.values("last_timestamp_seconds")
    assert after.value("gangplank_predict_drift_samples_total", result="tested") == 30


def test_errors_of_all_processes_by_type(parent: Process, port: int) -> None:
    """Also of a type that only one of them ever saw, and then died."""
    parent.do(
        """
def broken(samples):
    raise samples
call = service._measured(broken)
def fail(error):
    try:
        call(error)
    except type(error):
        pass
fail(ValueError())
"""
    )
    children = [parent.fork() for _ in range(2)]
    for child in children:
        child.do("fail(ValueError())")
    children[1].do("fail(OSError())")
    children[1].kill()
    page = scrape(port)
    assert page.value("gangplank_predict_errors_total", error_type="ValueError") == 3
    assert page.value("gangplank_predict_errors_total", error_type="OSError") == 1


def test_a_file_that_cannot_be_made_is_trouble_of_telemetry_alone(
    processes: Processes, served: str, tmp_path: Path, port: int
) -> None:
    """A limit on the size of files: predictions go on, the log says so once, and neither files nor locks pile up."""
    process = processes.start(
        "import logging, logging.handlers, os, resource",
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))",
        "seen = logging.handlers.BufferingHandler(1000); logging.getLogger('gangplank').addHandler(seen)",
        "descriptors = lambda: len(os.listdir('/proc/self/fd'))",
        "before = descriptors()",
        served,
    )
    process.do("service.serve(100, 4)")
    process.do("more = [Service(service.telemetry, name) for name in ('a', 'b', 'c', 'd')]")
    assert process.do("len(seen.buffer)") == 1
    assert process.do("descriptors() - before") < 10
    assert files(tmp_path) <= 1
    assert scrape(port)


def test_a_disk_that_is_full_is_trouble_of_telemetry_alone(tmp_path: Path) -> None:
    """It does not end the process, which writing to a file in memory would; what had room before goes on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = tmp_path / "script.py"
    script.write_text(f"""
import logging, logging.handlers
seen = logging.handlers.BufferingHandler(1000)
logging.getLogger("gangplank").addHandler(seen)
from directed import Service, telemetry_in
from prometheus_client import CollectorRegistry
registry = CollectorRegistry()
service = Service(telemetry_in({str(disk / "workers")!r}, None, registry=registry))
service.serve(10)
others = [Service(service.telemetry, f"net {{number}}") for number in range(200)]
for other in others:
    other.serve(1)
service.serve(10, 2)
print(registry.get_sample_value("gangplank_predict_total", {{"model": "net"}}), len(seen.buffer))
""")
    mounted = f"mount -t tmpfs -o size=256k none {disk} && exec {sys.executable} -W error {script}"
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mounted]
    try:
        subprocess.run([*command[:4], "mount", "-t", "tmpfs", "none", str(disk)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lets nobody mount a disk of their own")
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    shown, logged = done.stdout.split()
    assert (20.0 <= float(shown) <= 40.0, logged) == (True, "1")

"""Processes that come and go while others scrape, fork and fold: totals never dip, never double, and nobody hangs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from processes import Process, Processes, scrape

from gangplank.exporters.multiprocess.directory import Directory
from gangplank.merging import merge


@pytest.fixture
def parent(processes: Processes, workers: Path, port: int) -> Process:
    """A process that serves the port, and a model."""
    return processes.start(f"service = Service(telemetry_in({str(workers)!r}, {port}))")


def total(port: int) -> float:
    """Return how many samples were predicted, as a scrape has it."""
    value = scrape(port).value("gangplank_predict_total", model="net")
    assert value is not None
    return value


def shown(workers: Path) -> dict[str, object]:
    """Return what the directory shows of a model, without any of its processes."""
    families = merge([Directory(workers)])
    return {family.metric.prometheus_name: family.points[0].value for family in families}


class Tally:
    """How many samples there must be and may be at the moment."""

    def __init__(self) -> None:
        self.done = self.begun = 0
        self._lock = threading.Lock()

    def serve(self, process: Process, calls: int) -> None:
        """Have a process make calls of two samples each."""
        with self._lock:
            self.begun += 2 * calls
        process.do(f"service.serve({calls}, 2)")
        with self._lock:
            self.done += 2 * calls

    def watch(self, port: int, is_over: threading.Event) -> int:
        """Scrape until it is over: no scrape lacks what was done before it, or has more than was begun by its end."""
        before, scrapes = 0.0, 0
        while not is_over.is_set() or not scrapes:
            least = max(self.done, before)
            before = total(port)
            assert least <= before <= self.begun
            scrapes += 1
        return scrapes


def test_scrapes_at_once_while_children_are_born_and_killed(parent: Process, port: int) -> None:
    """Eight who scrape, and totals that only ever grow to what was done."""
    tally, is_over = Tally(), threading.Event()
    with ThreadPoolExecutor(8) as pool:
        scrapes = [pool.submit(tally.watch, port, is_over) for _ in range(8)]
        try:
            for _ in range(15):
                children = [parent.fork() for _ in range(2)]
                for child in children:
                    tally.serve(child, 50)
                for child in children:
                    child.kill()
        finally:
            is_over.set()
        assert all(scraped.result() for scraped in scrapes)
    assert total(port) == tally.done == 3000


def test_files_do_not_grow_by_processes_that_come_and_go(parent: Process, port: int, workers: Path) -> None:
    """After fifty there are an archive, no larger than after five, and the files of those that live."""
    sizes = []
    for number in range(1, 51):
        child = parent.fork()
        child.do("service.serve(2)")
        child.kill() if number % 2 else child.end()
        assert total(port) == 4 * number
        sizes.append((workers / "archive.gangplank").stat().st_size)
    assert len(set(sizes[4:])) == 1
    parent.do("service.serve(1)")
    assert total(port) == 202
    assert len(list(workers.glob("*.gangplank"))) == 2
    assert {path.suffix for path in workers.iterdir()} <= {".gangplank", ".lock", ""}


def test_files_do_not_grow_where_nobody_scrapes(parent: Process, port: int, workers: Path) -> None:
    """Workers may be recycled for weeks before anyone looks."""
    for _ in range(20):
        child = parent.fork()
        child.do("service.serve(2)")
        child.kill()
    assert len(list(workers.glob("*.gangplank"))) <= 3  # the archive, the parent, and the last child
    assert total(port) == 80


@pytest.mark.parametrize("step", ["write_bytes", "replace", "unlink"])
def test_killed_while_it_folds(processes: Processes, parent: Process, workers: Path, port: int, step: str) -> None:
    """Before the archive is written, before it is in place, and before what it holds is deleted."""
    for _ in range(3):
        child = parent.fork()
        child.do("service.serve(10)")
        child.kill()
    folding = processes.start(
        "import os, pathlib, signal",
        f"service = Service(telemetry_in({str(workers)!r}, None, registry=__import__('prometheus_client').REGISTRY))",
        f"pathlib.Path.{step} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)",
    )
    with pytest.raises((OSError, ValueError)):  # it does not answer any more
        folding.do("__import__('prometheus_client').generate_latest()")
    folding.wait()
    for _ in range(2):
        assert total(port) == 60


LOCKS = {
    "state": "service.telemetry.state.lock",
    "telemetry": "service.telemetry._lock",
    "names": "inference._claiming",
    "directory": "directory.Directory(pathlib.Path({workers!r})).locked()",
}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_child_that_is_forked_while_another_thread_holds_a_lock(
    parent: Process, port: int, workers: Path, lock: str
) -> None:
    """That thread is not in the child, to let go of it; and in the parent it does, whatever the child has."""
    parent.do(
        f"""
import pathlib
from gangplank import inference
from gangplank.exporters.multiprocess import directory
def hold():
    with {LOCKS[lock].format(workers=str(workers))}:
        is_held.set()
        may_go.wait()
is_held, may_go = threading.Event(), threading.Event()
holder = threading.Thread(target=hold)
holder.start()
is_held.wait()
"""
    )
    child = parent.fork()
    parent.do("may_go.set(); holder.join()")
    child.do("service.call([1, 2])")
    child.do("service.serve(1)")
    child.do("Service(service.telemetry, 'other').serve(2)")
    parent.do("service.serve(2)")
    page = scrape(port)
    assert (page.values("total"), page.values("total", model="other")) == ([8], [4])


def test_a_child_that_is_forked_while_a_file_is_made_does_not_keep_it_alive(
    processes: Processes, workers: Path
) -> None:
    """The lock that says that its process is alive is that process's own."""
    fork_while = """
import types, fcntl
from gangplank.exporters.multiprocess import filelock
is_held, may_go = threading.Event(), threading.Event()
class Slow:
    def __getattr__(self, name):
        return getattr(fcntl, name)
    def flock(self, file, how):
        fcntl.flock(file, how)
        is_held.set()
        may_go.wait()
def begin():
    global service
    service = Service(telemetry_in({workers!r}, None))
    service.hold()
filelock.fcntl = Slow()
beginning = threading.Thread(target=begin)
beginning.start()
is_held.wait()
"""
    process = processes.start(fork_while.format(workers=str(workers)))
    child = process.fork()
    process.do("may_go.set(); beginning.join()")
    assert shown(workers)["gangplank_predict_in_flight"] == 1
    process.kill()
    assert child.do("1") == 1
    assert "gangplank_predict_in_flight" not in shown(workers)

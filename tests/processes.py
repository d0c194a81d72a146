"""Real processes that tests direct, forked children among them, and what a scrape of them shows."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import realservers
from prometheus_client.parser import text_string_to_metric_families

_PROGRAM = str(Path(__file__).with_name("directed.py"))
_PATIENCE = 20.0


class Page:
    """What a scrape showed.

    Args:
        text: The text of it.
    """

    def __init__(self, text: str) -> None:
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of the one series of that name that has these labels, or None."""
        found = [one.value for one in self._samples if one.name == name and labels.items() <= one.labels.items()]
        assert len(found) <= 1, found
        return found[0] if found else None

    def labels(self, name: str) -> list[dict[str, str]]:
        """Return the labels of each series of that name."""
        return [one.labels for one in self._samples if one.name == name]

    def values(self, *suffixes: str, model: str = "net") -> list[float | None]:
        """Return the values of the series ``gangplank_predict_<suffix>`` of a model."""
        return [self.value(f"gangplank_predict_{suffix}", model=model) for suffix in suffixes]


def scrape(port: int) -> Page:
    """Return what is served on a port now."""
    return Page(realservers.get(f"http://127.0.0.1:{port}/metrics"))


class Process:
    """A process that does what it is told. See ``directed`` for what it has at hand.

    Args:
        link: The connection to it.
        processes: Where it belongs.
        parent: What it was forked from, if it was.
    """

    def __init__(self, link: socket.socket, processes: Processes, parent: Process | None) -> None:
        self._link = link
        self._lines = link.makefile("rw", encoding="utf-8")
        self._processes = processes
        self._parent = parent
        self.pid = int(json.loads(self._lines.readline()))

    def do(self, source: str) -> Any:
        """Have it evaluate or execute some Python, and return the value if it has one.

        Raises:
            AssertionError: that raised.
        """
        self._tell(source)
        value, error = json.loads(self._lines.readline())
        assert error is None, error
        return value

    def fork(self) -> Process:
        """Have it fork, and return the child."""
        self._tell(None)
        child = self._processes.accept(self)
        assert json.loads(self._lines.readline()) == child.pid
        return child

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Kill it, and return when nothing of it is left."""
        os.kill(self.pid, number)
        self.wait()

    def end(self) -> None:
        """Have it come to its end by itself."""
        self._link.shutdown(socket.SHUT_WR)
        self.wait()

    def wait(self) -> None:
        """Wait until nothing of it is left: a process that is reaped has its files and locks no more."""
        if self._parent is not None:
            self._parent.do(f"os.waitpid({self.pid}, 0)")
        else:
            self._processes.started[self.pid].wait(_PATIENCE)
        self._processes.forget(self)

    def close(self) -> None:
        """Let go of the connection."""
        self._lines.close()
        self._link.close()

    def _tell(self, what: str | None) -> None:
        self._lines.write(json.dumps(what) + "\n")
        self._lines.flush()


class Processes:
    """Starts processes, and kills at the end those that are left.

    Args:
        listener: Where they connect.
    """

    def __init__(self, listener: socket.socket) -> None:
        self.started: dict[int, subprocess.Popen[bytes]] = {}
        self._listener = listener
        self._alive: list[Process] = []

    def start(self, *sources: str) -> Process:
        """Start a process, and have it execute some Python."""
        # Forking with threads is what the tests are about.
        warnings = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
        port = str(self._listener.getsockname()[1])
        started = subprocess.Popen([sys.executable, *warnings, _PROGRAM, port])
        self.started[started.pid] = started
        process = self.accept(None)
        for source in sources:
            process.do(source)
        return process

    def accept(self, parent: Process | None) -> Process:
        """Return the process that connects next."""
        link, _ = self._listener.accept()
        link.settimeout(_PATIENCE)
        process = Process(link, self, parent)
        self._alive.append(process)
        return process

    def forget(self, process: Process) -> None:
        """Leave alone a process that is gone: its number may be another's."""
        self._alive.remove(process)
        process.close()

    def close(self) -> None:
        """Kill what is left. Children first, since their parents would not be there to reap them."""
        for process in reversed(self._alive):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.close()
        for started in self.started.values():
            started.wait(_PATIENCE)


@contextmanager
def directed() -> Iterator[Processes]:
    """Direct processes until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_PATIENCE)
        processes = Processes(listener)
        try:
            yield processes
        finally:
            processes.close()

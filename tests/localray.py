"""Programs that start Ray on this machine, and everything that they leave behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import needs
from realservers import wait_for

_ENDS_WITHIN = 60.0
"""Seconds."""


class LocalRay:
    """Where Ray keeps its files, which tells its processes from all others.

    Args:
        folder: For its files; short, since they include sockets.
        home: For what it and others write into a user's home.
    """

    def __init__(self, folder: Path, home: Path) -> None:
        self._mark = f"RAY_TMPDIR={folder}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        self.environment = {
            **kept,
            "HOME": str(home),
            "TMPDIR": str(home),
            "RAY_TMPDIR": str(folder),
            "RAY_USAGE_STATS_ENABLED": "0",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }

    @contextmanager
    def running(self, log: Path, script: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a program until the block ends; it is interrupted then, if it has not come to its end."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-u", str(script), *arguments], stdout=output, stderr=output, env=self.environment
            )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def left(self) -> list[int]:
        """Return the processes that are there still."""
        return [int(file.parent.name) for file in Path("/proc").glob("[0-9]*/environ") if self._is_ours(file)]

    def kill(self) -> None:
        """Kill whatever is left."""
        for pid in self.left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not self.left())

    def _is_ours(self, file: Path) -> bool:
        with suppress(OSError):  # it has ended, or is somebody else's
            return self._mark.encode() in file.read_bytes().split(b"\0")
        return False


@contextmanager
def local_ray(home: Path) -> Iterator[LocalRay]:
    """Have Ray at hand until the block ends, when nothing is left of it."""
    needs.module("ray")
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    ray = LocalRay(folder, home)
    try:
        yield ray
    finally:
        ray.kill()
        shutil.rmtree(folder, ignore_errors=True)

"""``gangplank watch`` in a process of its own, of a real ``fit``: at its scrape, a real gateway, a real Prometheus."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import needs
import pytest
import realservers
from realservers import free_port, wait_for

from gangplank import PrometheusExporter, Telemetry
from gangplank.training import TrainingRun

SCRIPT = Path(__file__).parent / "scripts" / "watched.py"
PATIENCE = 60.0
COMMAND = [sys.executable, "-W", "error", "-m", "gangplank", "watch"]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A model that trains and predicts, and the three addresses at which that can be seen."""
    needs.module("jax")
    port = free_port()
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    folders = [tmp_path_factory.mktemp(name) for name in ("gateway", "prometheus")]
    with realservers.pushgateway(folders[0]) as gateway:
        command = [sys.executable, str(SCRIPT), str(port), gateway.address]
        with (folders[0] / "fit").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log)
        try:
            with realservers.prometheus(folders[1], f"127.0.0.1:{port}") as prometheus:
                wait_for(lambda: process.poll() is not None or gateway.series("gangplank_train_val_loss"), PATIENCE)
                assert process.poll() is None, (folders[0] / "fit").read_text()
                prometheus.wait_for("rate(gangplank_predict_errors_total[5s])")
                yield {"scrape": f"127.0.0.1:{port}", "gateway": gateway.url, "prometheus": prometheus.url}
        finally:
            process.communicate(timeout=PATIENCE)


def pairs(line: str) -> dict[str, str]:
    """Return what a line says."""
    return dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)', line))


@contextmanager
def watching(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Watch by a pipe until the block ends."""
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_with(process: subprocess.Popen[str], text: str) -> str:
    """Return the next line that has some text in it."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line
    raise AssertionError(f"no line with {text!r}; {process.communicate()}")


@pytest.mark.parametrize("place", ["scrape", "gateway", "prometheus"])
def test_the_same_is_seen_at_each_place(place: str, places: dict[str, str]) -> None:
    """A run that is under way, its predictions and their drift, whatever the place is."""
    done = subprocess.run(
        [*COMMAND, places[place], "--once", "--since", "30s"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = {line["view"]: line for line in map(pairs, done.stdout.splitlines())}
    assert list(found) == ["training", "inference", "drift"]
    assert all(line["model"] == "net" for line in found.values())
    training, inference = found["training"], found["inference"]
    assert training["state"] == "running"
    assert int(training["epochs"]) > 1
    assert all(float(training[name]) >= 0 for name in ("loss", "val_loss", "mae", "step_seconds", "learning_rate"))
    assert int(inference["calls"]) > int(inference["errors"]) == 1
    assert 0 < float(inference["p50_seconds"]) <= float(inference["p99_seconds"])
    assert found["drift"]["detected"] == "0"
    assert (training.get("job"), "instance" in training) == {
        "scrape": (None, False),
        "gateway": ("mnist", False),
        "prometheus": ("target", True),
    }[place]
    assert ("calls_per_second" in inference) is (place == "prometheus")  # which alone knows the past


def test_a_pipe_gets_a_line_for_each_change_until_ctrl_c(places: dict[str, str]) -> None:
    """At once, and the end is a quiet one."""
    with watching(places["scrape"], "--interval", "0.2") as process:
        epochs = [int(pairs(line_with(process, "view=training"))["epochs"]) for _ in range(3)]
        assert epochs == sorted(epochs)
        assert pairs(line_with(process, "calls_per_second"))["view"] == "inference"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (130, "")
        assert all(line.startswith("time=") for line in out.splitlines())


def test_head_ends_it() -> None:
    """Though nothing changes, and so nothing more is written."""
    with Telemetry(exporters=[PrometheusExporter(port=0)]) as telemetry:
        TrainingRun(telemetry, "net").end()
        url = telemetry.handles[0].url  # type: ignore[attr-defined]
        with watching(url, "--interval", "600") as process:
            assert "state=done" in line_with(process, "state=")
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.wait(30) == 1
            assert process.stderr.read() == ""


def test_a_server_that_goes_and_comes_back() -> None:
    """Said once each, and watched on."""
    port = free_port()
    with watching(f"127.0.0.1:{port}", "--interval", "0.1") as process:
        assert "refused" in line_with(process, "problem=")
        for number in (1, 2):
            with Telemetry(exporters=[PrometheusExporter(port=port)]) as telemetry:
                if number == 1:
                    assert "nothing of a model yet" in line_with(process, "")
                run = TrainingRun(telemetry, f"net_{number}")
                run.epoch({"loss": 0.5})
                assert f"model=net_{number} " in line_with(process, "state=running")
                run.end()
            line_with(process, "problem=")


def _own_terminal() -> None:
    """Have Ctrl-C on the terminal be for who runs on it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A real terminal of some size, with a watch on it.

    Args:
        arguments: Of the watch.
        variables: Of its environment.
    """

    def __init__(self, *arguments: str, **variables: str) -> None:
        self.seen = ""
        self._ours, its = pty.openpty()
        self.resize(80, 24)
        environment = {**os.environ, "TERM": "xterm", **variables}
        for name in {"COLORTERM", "NO_COLOR", "COLUMNS", "LINES"} - variables.keys():
            environment.pop(name, None)
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=environment,
            stdin=its,
            stdout=its,
            stderr=its,
            start_new_session=True,
            preexec_fn=_own_terminal,  # noqa: PLW1509 - no thread of ours is there to hold a lock
        )
        os.close(its)

    def resize(self, columns: int, rows: int) -> None:
        """Make it another size, of which the system tells the watch."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def wait_for(self, text: str) -> str:
        """Wait until some text was written, forget what was before it, and return that."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if not self._read():
                raise AssertionError(f"no {text!r} in {self.seen!r}")
        before, _, self.seen = self.seen.partition(text)
        return before

    def end(self) -> tuple[int, str]:
        """Wait until the watch has ended, and return its exit status and what it wrote meanwhile."""
        while self._read():
            pass
        return self.process.wait(30), self.seen

    def _read(self) -> bool:
        try:
            ready, _, _ = select.select([self._ours], [], [], PATIENCE)
            read = os.read(self._ours, 65536) if ready else b""
        except OSError:  # Linux's way to say that nobody has the other side open
            read = b""
        self.seen += read.decode(errors="replace")
        return bool(read)

    def close(self) -> None:
        """End whatever is left."""
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@contextmanager
def terminal(*arguments: str, **variables: str) -> Iterator[Terminal]:
    """Watch on a terminal until the block ends."""
    found = Terminal(*arguments, **variables)
    try:
        yield found
    finally:
        found.close()


@pytest.mark.parametrize("end", [b"q", b"\x03"])
def test_a_terminal_that_changes_its_size(end: bytes, places: dict[str, str]) -> None:
    """One chart, then several; sixteen colours; and at the end the terminal is as it was."""
    with terminal(places["scrape"], "--interval", "0.2") as found:
        written = found.wait_for("val_loss")
        assert "\x1b[?1049h" in written
        assert "running" in written + found.seen
        found.resize(200, 60)
        written += found.wait_for("step time, seconds")
        found.press(b"v")
        written += found.wait_for("calls a second")
        found.press(end)
        status, rest = found.end()
        assert status == 0
        assert "\x1b[?1049l" in rest
        assert not re.search(r"\x1b\[[\d;]*[34]8;[25];", written + rest)
        assert re.search(r"\x1b\[(?:\d+;)*3[1-7][;m]", written)
        assert "Traceback" not in written + rest


def test_a_terminal_without_colours(places: dict[str, str]) -> None:
    """As NO_COLOR asks for."""
    with terminal(places["prometheus"], "--interval", "0.2", NO_COLOR="1") as found:
        written = found.wait_for("val_loss") + found.wait_for("┌")
        found.press(b"q")
        status, rest = found.end()
        assert status == 0
        assert not re.search(r"\x1b\[(?:\d+;)*(?:[34][0-7]|9[0-7])[;m]", written + rest)


@pytest.mark.parametrize(("variable", "argument"), [("dumb", ()), ("xterm", ("--plain",))])
def test_a_terminal_that_gets_lines(variable: str, argument: tuple[str, ...], places: dict[str, str]) -> None:
    """Since it can do no more, or since they are asked for; Ctrl-C ends them."""
    with terminal(places["gateway"], "--interval", "0.2", *argument, TERM=variable) as found:
        written = found.wait_for("view=training") + found.wait_for("\n")
        assert "\x1b" not in written
        found.press(b"\x03")
        status, rest = found.end()
        assert status == 130
        assert "Traceback" not in rest

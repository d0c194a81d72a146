"""A real gateway that is killed and started again, or late, while real processes train."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import needs
import pytest
from realservers import Gateway, free_port, serving, wait_for

SCRIPT = Path(__file__).parent / "scripts" / "stepwise.py"
KINDS = ("exporter", "keras", "reader")
SUCCESSES = "gangplank_train_last_success_timestamp_seconds"


class Server:
    """A gateway that can be killed and started again, with nothing left of what it had.

    Args:
        folder: Where it may keep things.
    """

    def __init__(self, folder: Path) -> None:
        self.gateway = Gateway(free_port())
        self._folder = folder
        self._times = 0

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run it until the block ends, or somebody kills it."""
        program = needs.program("prometheus-pushgateway", "prometheus-pushgateway")
        self._times += 1
        folder = self._folder / str(self._times)
        folder.mkdir()
        command = [program, f"--web.listen-address={self.gateway.address}", f"--persistence.file={folder / 'metrics'}"]
        with serving(command, self.gateway.url, folder) as process:
            yield process

    def epochs(self) -> float | None:
        """Return how many epochs it knows of."""
        return self.gateway.value("gangplank_train_epochs_count", job="mnist", phase="train")


class Training:
    """A process that trains as it is told.

    Args:
        kind: How it reports.
        gateway: Where to.
        folder: Where what it says on stderr is kept.
    """

    def __init__(self, kind: str, gateway: Gateway, folder: Path) -> None:
        command = [sys.executable, str(SCRIPT), kind, gateway.address]
        environment = {**os.environ, "KERAS_BACKEND": "jax"}
        if kind != "exporter":
            needs.module("keras")
            needs.module("jax")
        if kind == "reader":
            instrument = Path(sys.executable).with_name("opentelemetry-instrument")
            command.insert(0, needs.program(str(instrument), "opentelemetry-distro"))
            environment |= {
                "OTEL_METRICS_EXPORTER": "pushgateway",
                "OTEL_TRACES_EXPORTER": "none",
                "OTEL_LOGS_EXPORTER": "none",
                "OTEL_METRIC_EXPORT_INTERVAL": "250",
                "OTEL_EXPORTER_PUSHGATEWAY_ENDPOINT": gateway.address,
                "OTEL_EXPORTER_PUSHGATEWAY_JOB": "mnist",
            }
        self._said = folder / "stderr"
        with self._said.open("wb") as stderr:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def train(self, epochs: int) -> float:
        """Train, and return the seconds that it took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        began = time.monotonic()
        for _ in range(epochs):
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            assert self._process.stdout.readline(), self.said
        return time.monotonic() - began

    def end(self) -> float:
        """Have it end as programs do, and return the seconds that it took."""
        began = time.monotonic()
        self._process.communicate(timeout=60)
        assert self._process.returncode == 0, self.said
        return time.monotonic() - began

    @property
    def said(self) -> str:
        """What it said on stderr."""
        return self._said.read_text()

    def complained(self) -> bool:
        """Whether it said that a push failed."""
        return "could not push" in self.said


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """A gateway that does not run yet."""
    return Server(tmp_path)


def _assert_complete(server: Server, training: Training, epochs: int) -> None:
    """Check that the gateway has everything that the end of a training says, and that it was said what was wrong."""
    gateway = server.gateway
    assert server.epochs() == epochs
    outcomes = gateway.series("gangplank_train_outcome", job="mnist", phase="train")
    assert {labels["outcome"] for labels, value in outcomes if value} == {"success"}
    assert gateway.value("gangplank_train_running", job="mnist") == 0
    assert gateway.value("gangplank_train_loss", job="mnist", model="net") is not None
    assert gateway.value("gangplank_train_info", job="mnist", model="net") in (1, None)
    assert gateway.value(SUCCESSES, job="mnist", model="net") is not None
    assert {value for _, value in gateway.series("push_failure_time_seconds")} == {0}
    failures = gateway.value("gangplank_export_pushes_total", job="mnist", result="failure")
    assert failures is not None
    assert failures >= 1
    assert training.said.count("could not push") == 1, training.said
    assert "Traceback" not in training.said


@pytest.mark.parametrize("kind", KINDS)
def test_killed_and_started_again(kind: str, server: Server, tmp_path: Path) -> None:
    """What it lost is there again, unasked, and then the end; training was neither failed nor held up."""
    with server.running() as first, Training(kind, server.gateway, tmp_path) as training:
        training.train(2)
        wait_for(lambda: server.epochs() == 2)
        first.kill()
        first.wait()
        assert training.train(3) < 10
        wait_for(training.complained)
        with server.running():
            wait_for(lambda: server.epochs() == 5)
            training.train(1)
            training.end()
            _assert_complete(server, training, 6)


@pytest.mark.parametrize("kind", KINDS)
def test_absent_at_the_start(kind: str, server: Server, tmp_path: Path) -> None:
    """A training that began before the gateway was there is there once it is."""
    with Training(kind, server.gateway, tmp_path) as training:
        training.train(2)
        wait_for(training.complained)
        with server.running():
            wait_for(lambda: server.epochs() == 2)
            training.end()
            _assert_complete(server, training, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_for_good(kind: str, server: Server, tmp_path: Path) -> None:
    """The program ends as ever, within its bound, and says that the last state is lost."""
    with server.running() as first, Training(kind, server.gateway, tmp_path) as training:
        training.train(1)
        wait_for(lambda: server.epochs() == 1)
        first.kill()
        first.wait()
        training.train(1)
        assert training.end() < 15
        assert "the last state was not delivered" in training.said


@pytest.mark.parametrize("kind", KINDS)
def test_killed_several_times(kind: str, server: Server, tmp_path: Path) -> None:
    """Each time the newest state is there again, and it is said no oftener than once what is wrong."""
    with Training(kind, server.gateway, tmp_path) as training:
        for epochs in range(1, 4):
            with server.running() as process:
                training.train(1)
                wait_for(lambda: server.epochs() == epochs)  # noqa: B023 - called at once
                process.kill()
                process.wait()
        training.train(1)
        wait_for(training.complained)
        with server.running():
            training.train(1)
            training.end()
            _assert_complete(server, training, 5)

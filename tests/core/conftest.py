"""What the core's tests share: scripts in a process of their own, gateways, exits to them, a clock."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from checking import Check, Server
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from processes import Processes, directed
from pushes import Pushed
from realservers import free_port

from gangplank import Telemetry
from gangplank.commands import main
from gangplank.testing import FakeGateway, InMemoryExporter, ManualClock

Script = Callable[..., "subprocess.CompletedProcess[str]"]
RANKS = ("RANK", "WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS")


@pytest.fixture
def script() -> Script:
    """A function that runs Python source in a fresh interpreter and returns how it ended."""

    def run(source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-c", textwrap.dedent(source), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture
def fake_gateway() -> Iterator[FakeGateway]:
    """A gateway that answers as it is told."""
    with FakeGateway() as gateway:
        yield gateway


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still until it is moved."""
    return ManualClock()


@pytest.fixture
def memory() -> InMemoryExporter:
    """An exit that can be looked into."""
    return InMemoryExporter()


@pytest.fixture
def telemetry(clock: ManualClock, memory: InMemoryExporter) -> Iterator[Telemetry]:
    """A telemetry whose time stands still."""
    with Telemetry(exporters=[memory], clock=clock) as telemetry:
        yield telemetry


@pytest.fixture
def processes() -> Iterator[Processes]:
    """Processes to direct."""
    with directed() as processes:
        yield processes


@pytest.fixture
def port() -> int:
    """A port that all of them share."""
    return free_port()


@pytest.fixture
def workers(tmp_path: Path) -> Path:
    """The directory that all of them share."""
    return tmp_path / "workers"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """Where finished spans are."""
    return InMemorySpanExporter()


@pytest.fixture
def provider(spans: InMemorySpanExporter) -> Iterator[TracerProvider]:
    """A provider such as a process has, shut down by whom it belongs to."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    yield provider
    provider.shutdown()


@pytest.fixture
def pushing(fake_gateway: FakeGateway) -> Iterator[Callable[..., Pushed]]:
    """A function that makes providers that push to the fake gateway."""
    made: list[Pushed] = []

    def make(**settings: Any) -> Pushed:
        made.append(Pushed(fake_gateway, **settings))
        return made[-1]

    yield make
    fake_gateway.held.set()
    for one in made:
        one.reader.shutdown()


@pytest.fixture
def pushed(pushing: Callable[..., Pushed]) -> Pushed:
    """A provider that pushes to the fake gateway."""
    return pushing()


@pytest.fixture
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what a launcher of these tests may have set."""
    for name in RANKS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that is no gateway, but can act as one."""
    with Server() as server:
        yield server


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """A function that runs the command, and returns exit status and output."""

    def run(*arguments: str) -> tuple[int, str]:
        status = main(["check", *arguments])
        out, err = capsys.readouterr()
        assert err == ""
        return status, out

    return run

"""Fixtures of all tests: the real servers, and an environment that holds nothing of the caller's."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import realservers


def pytest_configure() -> None:
    """Have Ctrl-C be what it is at a terminal, and no test fail for being slow.

    In the background Ctrl-C is ignored, by children too.
    """
    hypothesis.settings.register_profile("project", deadline=None)
    hypothesis.settings.load_profile("project")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what would change how telemetry behaves on somebody's machine."""
    for name in os.environ:
        if name.startswith(("OTEL_", "PROMETHEUS_", "TRACE", "BAGGAGE")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[realservers.Gateway]:
    """A real Pushgateway with nothing in it."""
    folder = tmp_path / "gateway"
    folder.mkdir()
    with realservers.pushgateway(folder) as server:
        yield server


@pytest.fixture
def prometheus(tmp_path: Path, gateway: realservers.Gateway) -> Iterator[realservers.Prometheus]:
    """A real Prometheus that scrapes the gateway four times a second."""
    folder = tmp_path / "prometheus"
    folder.mkdir()
    with realservers.prometheus(folder, gateway.address) as server:
        yield server


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[realservers.Alertmanager]:
    """A real Alertmanager that knows of no alert."""
    folder = tmp_path / "alertmanager"
    folder.mkdir()
    with realservers.alertmanager(folder) as server:
        yield server

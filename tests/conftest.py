"""Fixtures of all tests: the real servers, and an environment that holds nothing of the caller's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import realservers


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what would change how telemetry behaves on somebody's machine."""
    for name in os.environ:
        if name.startswith(("OTEL_", "PROMETHEUS_")) or name.lower().endswith("_proxy"):
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

"""Fixtures of the inference tests. They run on any backend that KERAS_BACKEND names, also on one that cannot train."""

from __future__ import annotations

import os
from collections.abc import Iterator

import needs
import pytest

needs.module(os.environ.setdefault("KERAS_BACKEND", "tensorflow"))
needs.module("keras")

from inference_suite import Seen  # noqa: E402 - Keras reads KERAS_BACKEND when it is imported

from gangplank import Telemetry  # noqa: E402
from gangplank.testing import InMemoryExporter  # noqa: E402


@pytest.fixture
def exporter() -> InMemoryExporter:
    """An exit to look into."""
    return InMemoryExporter()


@pytest.fixture
def telemetry(exporter: InMemoryExporter) -> Iterator[Telemetry]:
    """A telemetry whose one exit is ``exporter``."""
    with Telemetry(exporters=[exporter]) as telemetry:
        yield telemetry
        assert exporter.series("gangplank_export_errors_total") == []  # whatever was contained is a bug of ours


@pytest.fixture
def seen(exporter: InMemoryExporter, telemetry: Telemetry) -> Seen:
    """What that telemetry has counted of the model ``net``."""
    return Seen(exporter)

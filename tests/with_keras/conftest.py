"""Fixtures of the Keras tests. They run on the backend that KERAS_BACKEND names, TensorFlow if it names none."""

from __future__ import annotations

import os
from collections.abc import Iterator

import needs
import pytest

needs.module(os.environ.setdefault("KERAS_BACKEND", "tensorflow"))
needs.module("keras")

from gangplank import Telemetry  # noqa: E402 - Keras reads KERAS_BACKEND when it is imported
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

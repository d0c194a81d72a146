"""What the benchmarks of inference compare: models, bare and behind proxies, that of gangplank 0.5.0 among them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
from predecessor import NAME as PREDECESSOR
from predecessor import load
from prometheus_client import CollectorRegistry

from gangplank import Drift, PrometheusModel, Telemetry, TelemetryModel
from gangplank.testing import InMemoryExporter

BATCH, FEATURES, CLASSES = 32, 16, 4
BARE, OURS = "bare model", "TelemetryModel"

Model = Callable[[Any], Any]


class Noop:
    """A model that costs nothing: it returns what it is given."""

    name = "noop"

    def __call__(self, x: Any) -> Any:  # noqa: ANN401 - anything
        """Return ``x``."""
        return x

    def predict(
        self,
        x: Any,  # noqa: ANN401
        batch_size: Any = None,  # noqa: ANN401, ARG002 - Keras's own arguments
        verbose: Any = "auto",  # noqa: ANN401, ARG002
        steps: Any = None,  # noqa: ANN401, ARG002
        callbacks: Any = None,  # noqa: ANN401, ARG002
    ) -> Any:  # noqa: ANN401
        """Return ``x``."""
        return x


class Failing(Noop):
    """A model that raises."""

    def __call__(self, x: Any) -> Any:  # noqa: ANN401
        """Raise ``ValueError``."""
        raise ValueError(len(x))


def batch() -> np.ndarray:
    """Return a batch of inputs."""
    return np.random.default_rng(1).normal(size=(BATCH, FEATURES)).astype("float32")


def dense() -> keras.Model:
    """Return a real model, so small that a call of it is as short as a real one gets."""
    keras.utils.set_random_seed(1)
    hidden = keras.layers.Dense(32, activation="relu")
    return keras.Sequential([keras.Input((FEATURES,)), hidden, keras.layers.Dense(CLASSES)], name="dense")


def predecessor(folder: Path | None) -> Callable[..., Model]:
    """Return the proxy of gangplank 0.5.0.

    Args:
        folder: Where its package ``gangplank`` lies. By default it is fetched from PyPI.
    """
    proxy: Callable[..., Model] = load("prometheus_model", folder).PrometheusModel
    return proxy


def variants(stack: ExitStack, older: Callable[..., Model], model: Model) -> dict[str, Model]:
    """Return ``model`` bare and behind every proxy; ``stack`` closes what they need."""

    def ours(drift: Any = None, **settings: Any) -> Model:  # noqa: ANN401 - what Telemetry takes
        telemetry = stack.enter_context(Telemetry(**settings))
        return TelemetryModel(model, telemetry, get_drift_metrics_func=drift)

    def scraped(**settings: Any) -> Model:  # noqa: ANN401 - what PrometheusModel takes
        proxy = PrometheusModel(model, CollectorRegistry(), **settings)
        stack.callback(proxy.telemetry.close)
        return proxy

    folder = stack.enter_context(tempfile.TemporaryDirectory())
    return {
        BARE: model,
        "bare model, again": model,
        PREDECESSOR: older(model, registry=CollectorRegistry()),
        OURS: ours(exporters=[InMemoryExporter()]),
        "PrometheusModel": scraped(),
        "... with multiprocess_dir": scraped(multiprocess_dir=folder),
        "... with a drift function": ours(_no_drift, exporters=[InMemoryExporter()]),
        **_with_sdk(stack, ours),
    }


def settle(model: Model) -> None:
    """Wait until all that a call began is done, so that it does not run while another is measured."""
    if isinstance(model, TelemetryModel):
        model.telemetry.flush()


def _no_drift(x: Any, y: Any) -> Drift:  # noqa: ANN401, ARG001 - what a drift function takes
    return Drift()


def _with_sdk(stack: ExitStack, ours: Callable[..., Model]) -> dict[str, Model]:
    if find_spec("opentelemetry.sdk") is None:
        print("Skipped: all with OpenTelemetry's providers, for want of opentelemetry-sdk.\n")
        return {}
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - need not be there
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF  # noqa: PLC0415

    meters, spans, no_spans = MeterProvider([InMemoryMetricReader()]), TracerProvider(), TracerProvider(ALWAYS_OFF)
    for provider in (meters, spans, no_spans):
        stack.callback(provider.shutdown)
    return {
        "... in a MeterProvider": ours(meter_provider=meters),
        "... with a TracerProvider": ours(exporters=[InMemoryExporter()], tracer_provider=spans),
        "... that samples nothing": ours(exporters=[InMemoryExporter()], tracer_provider=no_spans),
    }

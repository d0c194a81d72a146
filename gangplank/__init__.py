"""Gangplank: observability for Keras models, on OpenTelemetry and Prometheus.

Importing this package imports no ML framework, no OpenTelemetry SDK and no prometheus_client. Its names are loaded when
they are first used; one that needs an extra which is not installed says which.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gangplank.errors import (
    ConfigurationError,
    ExportError,
    GangplankError,
    MissingDependencyError,
    ServerStartError,
)

if TYPE_CHECKING:
    from gangplank.drift.classes import ClassDrift
    from gangplank.drift.features import FeatureDrift
    from gangplank.drift.foreign import AlibiDrift, BatchTest, RiverDrift
    from gangplank.drift.mmd import MMDDrift
    from gangplank.drift.profile import DriftProfile
    from gangplank.drift.result import Drift, DriftResult
    from gangplank.exporters.prometheus import PrometheusExporter
    from gangplank.exporters.pushgateway import PushgatewayExporter
    from gangplank.exporters.pushgateway.reader import PushgatewayMetricReader
    from gangplank.telemetry import Telemetry
    from gangplank.weights.bounds import HISTOGRAM_WEIGHT_BUCKETS_0_3, HISTOGRAM_WEIGHT_BUCKETS_1_0
    from gangplank.weights.counting import summarize_weights
    from gangplank.weights.options import Weights
    from gangplank_keras.callback import TelemetryCallback
    from gangplank_keras.capturing import DriftProfileCallback, drift_profile
    from gangplank_keras.instrumentor import KerasInstrumentor
    from gangplank_keras.model import TelemetryModel
    from gangplank_keras.prometheus_model import PrometheusModel
    from gangplank_keras.train_test_exporter import TrainTestExporter

    __version__: str

__all__ = [
    "HISTOGRAM_WEIGHT_BUCKETS_0_3",
    "HISTOGRAM_WEIGHT_BUCKETS_1_0",
    "AlibiDrift",
    "BatchTest",
    "ClassDrift",
    "ConfigurationError",
    "Drift",
    "DriftProfile",
    "DriftProfileCallback",
    "DriftResult",
    "ExportError",
    "FeatureDrift",
    "GangplankError",
    "KerasInstrumentor",
    "MMDDrift",
    "MissingDependencyError",
    "PrometheusExporter",
    "PrometheusModel",
    "PushgatewayExporter",
    "PushgatewayMetricReader",
    "RiverDrift",
    "ServerStartError",
    "Telemetry",
    "TelemetryCallback",
    "TelemetryModel",
    "TrainTestExporter",
    "Weights",
    "drift_profile",
    "summarize_weights",
]

# name -> the module that has it, the extra that brings what this module needs, and the packages that it needs.
_HOMES: dict[str, tuple[str, str | None, tuple[str, ...]]] = {
    "AlibiDrift": ("gangplank.drift.foreign", "keras", ("numpy",)),
    "BatchTest": ("gangplank.drift.foreign", "keras", ("numpy",)),
    "ClassDrift": ("gangplank.drift.classes", "keras", ("numpy",)),
    "Drift": ("gangplank.drift.result", None, ()),
    "DriftProfile": ("gangplank.drift.profile", "keras", ("numpy",)),
    "DriftProfileCallback": ("gangplank_keras.capturing", "keras", ("keras", "numpy", "wrapt")),
    "DriftResult": ("gangplank.drift.result", None, ()),
    "FeatureDrift": ("gangplank.drift.features", "keras", ("numpy",)),
    "HISTOGRAM_WEIGHT_BUCKETS_0_3": ("gangplank.weights.bounds", None, ()),
    "HISTOGRAM_WEIGHT_BUCKETS_1_0": ("gangplank.weights.bounds", None, ()),
    "KerasInstrumentor": (
        "gangplank_keras.instrumentor",
        "keras,opentelemetry",
        ("wrapt", "opentelemetry.instrumentation", "opentelemetry.instrumentation.instrumentor"),
    ),
    "MMDDrift": ("gangplank.drift.mmd", "keras", ("numpy",)),
    "PrometheusExporter": ("gangplank.exporters.prometheus", "prometheus", ("prometheus_client",)),
    "PrometheusModel": (
        "gangplank_keras.prometheus_model",
        "keras,prometheus",
        ("keras", "numpy", "wrapt", "prometheus_client"),
    ),
    "PushgatewayExporter": (
        "gangplank.exporters.pushgateway",
        "pushgateway",
        ("prometheus_client", "requests"),
    ),
    "PushgatewayMetricReader": (
        "gangplank.exporters.pushgateway.reader",
        "opentelemetry",
        (
            "prometheus_client",
            "requests",
            "opentelemetry.sdk",
            "opentelemetry.exporter",
            "opentelemetry.exporter.prometheus",
        ),
    ),
    "RiverDrift": ("gangplank.drift.foreign", "keras", ("numpy",)),
    "Telemetry": ("gangplank.telemetry", None, ()),
    "TelemetryCallback": ("gangplank_keras", "keras", ("keras", "numpy", "wrapt")),
    "TelemetryModel": ("gangplank_keras", "keras", ("keras", "numpy", "wrapt")),
    "TrainTestExporter": (
        "gangplank_keras.train_test_exporter",
        "keras,pushgateway",
        ("keras", "numpy", "wrapt", "prometheus_client", "requests"),
    ),
    "Weights": ("gangplank.weights.options", None, ()),
    "drift_profile": ("gangplank_keras.capturing", "keras", ("keras", "numpy", "wrapt")),
    "summarize_weights": ("gangplank.weights.counting", "keras", ("numpy",)),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name == "__version__":
        return import_module("gangplank.binding").package_version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, extra, needs = _HOMES[name]
    try:
        value = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        # Only the extra's own packages: that Keras misses its backend, say, must surface as it is.
        if error.name not in needs:
            raise
        raise MissingDependencyError(
            f"gangplank.{name} needs {error.name}, which is not installed: pip install 'gangplank[{extra}]'",
            name=error.name,
        ) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

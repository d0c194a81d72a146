"""Gangplank for Keras 3, on any backend.

What gangplank 0.5.0 had needs more: its callback, ``gangplank_keras.train_test_exporter``, the ``pushgateway`` extra,
and its proxy, ``gangplank_keras.prometheus_model``, the ``prometheus`` extra.

Importing this package does not import Keras, whose backend a program may choose until Keras is imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gangplank_keras.callback import TelemetryCallback
    from gangplank_keras.instrumentor import KerasInstrumentor
    from gangplank_keras.model import TelemetryModel

__all__ = ["KerasInstrumentor", "TelemetryCallback", "TelemetryModel"]

_HOMES = {"KerasInstrumentor": "instrumentor", "TelemetryCallback": "callback", "TelemetryModel": "model"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value

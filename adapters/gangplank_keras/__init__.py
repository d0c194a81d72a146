"""Gangplank for Keras 3, on any backend.

What gangplank 0.5.0 had needs more: its callback, ``gangplank_keras.train_test_exporter``, the ``pushgateway`` extra,
and its proxy, ``gangplank_keras.prometheus_model``, the ``prometheus`` extra.
"""

from gangplank_keras.callback import TelemetryCallback
from gangplank_keras.model import TelemetryModel

__all__ = ["TelemetryCallback", "TelemetryModel"]

"""Gangplank for Keras 3, on any backend.

``gangplank_keras.train_test_exporter`` holds the callback of gangplank 0.5.0; it needs the ``pushgateway`` extra.
"""

from gangplank_keras.callback import TelemetryCallback

__all__ = ["TelemetryCallback"]

"""What each replica of the deployment does: it tells which digit an image shows."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import convnet

import gangplank

MODEL = convnet.SAVED


@serve.deployment(logging_config={"enable_access_log": False})
class Digits:
    """The trained network.

    Args:
        metrics_port: Where the metrics of all replicas of this machine are served.
        metrics_dir: What they all keep them in.
    """

    def __init__(self, metrics_port: int, metrics_dir: str) -> None:
        exporter = gangplank.PrometheusExporter(metrics_port, multiprocess_dir=metrics_dir)
        rank = serve.get_replica_context().rank.rank
        self._telemetry = gangplank.Telemetry(exporters=[exporter], attributes={"replica": str(rank)})
        self._telemetry.start()
        self._model = gangplank.TelemetryModel(keras.saving.load_model(MODEL), self._telemetry)

    def __del__(self) -> None:
        """Leave the port to another replica. Serve calls this when it stops a replica, but not when one is killed."""
        self._telemetry.close()

    async def __call__(self, request: Request) -> JSONResponse:
        """Answer a request with the digit, and how probable it is."""
        try:
            pixels = np.asarray((await request.json())["pixels"], "float32").reshape(1, 28, 28, 1)
        except (KeyError, TypeError, ValueError):
            return JSONResponse({"detail": "pixels must be 28 rows of 28 numbers"}, 422)
        probabilities = keras.ops.convert_to_numpy(self._model(pixels))[0]
        digit = int(probabilities.argmax())
        return JSONResponse({"digit": digit, "probability": float(probabilities[digit])})

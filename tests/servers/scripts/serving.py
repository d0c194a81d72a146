"""Serve a model of four weights, to WSGI and ASGI servers, and its metrics at /metrics.

In the environment, PORT is another port for the metrics, if any, and FOLDER is where the model can be held.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from prometheus_client import REGISTRY, make_asgi_app, make_wsgi_app

import gangplank

FOLDER = Path(os.environ["FOLDER"])


class Held(keras.layers.Layer):
    """Takes as long as there is a file that says so, and tells which process it is that waits."""

    def call(self, inputs: Any) -> Any:
        """Return the inputs."""
        while (FOLDER / "hold").exists():
            (FOLDER / "held").write_text(str(os.getpid()))
            time.sleep(0.01)
        return inputs


network = keras.Sequential([keras.Input((3,)), Held(), keras.layers.Dense(1)], name="net")
port = int(os.environ["PORT"]) if "PORT" in os.environ else None
model = gangplank.PrometheusModel(network, port=port, multiprocess_dir=FOLDER / "workers")
wsgi_metrics, asgi_metrics = make_wsgi_app(REGISTRY), make_asgi_app(REGISTRY)


def answer(path: str) -> bytes:
    """Predict two samples, and say which process it was."""
    if path != "/-/ready":
        model.predict_on_batch(np.ones((2, 3), "float32"))
    return str(os.getpid()).encode()


def wsgi(environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    """Answer as WSGI has it."""
    if environ["PATH_INFO"] == "/metrics":
        metrics: Iterable[bytes] = wsgi_metrics(environ, start_response)
        return metrics
    body = answer(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer as ASGI has it."""
    if scope["type"] == "lifespan":
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})
        return
    if scope["path"] == "/metrics":
        await asgi_metrics(scope, receive, send)
        return
    body = answer(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})

"""Gunicorn's settings: four workers, each of which loads the app, and Keras with it, for itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

_EXAMPLES = Path(__file__).resolve().parents[1]

wsgi_app = "app:app"
chdir = str(Path(__file__).parent)
bind = "127.0.0.1:8000"
workers = 4
worker_class = "asgi"
timeout = 120  # seconds; four copies of a backend take a while to load where there are few cores


def on_starting(server: Any) -> None:  # noqa: ANN401, ARG001 - gunicorn's own
    """Say once, rather than in each worker, that there is no model yet."""
    if not (_EXAMPLES / "models" / "mnist_convnet.keras").is_file():
        sys.exit("models/mnist_convnet.keras is not there: run train/train.py first")

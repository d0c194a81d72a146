"""Serves the trained network from two replicas of a Ray Serve deployment, and their metrics to Prometheus."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

# Ray listens on loopback then, as on those two it does anyway. A cluster of several machines does without.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

import ray
from ray import serve
from replica import MODEL, Digits

_REPLICAS = 2


def main() -> None:
    """Start Ray and the replicas, serve until Ctrl-C, and stop them."""
    options = _options()
    if not MODEL.is_file():
        sys.exit("models/mnist_convnet.keras is not there: run train/train.py first")
    ray.init(
        "local",
        num_cpus=_REPLICAS,
        object_store_memory=100_000_000,
        include_dashboard=False,
        logging_config=ray.LoggingConfig(log_level="ERROR"),
    )
    with suppress(KeyboardInterrupt):
        serve.start(http_options={"host": "127.0.0.1", "port": options.port})
        deployment = Digits.options(num_replicas=_REPLICAS)
        serve.run(deployment.bind(options.metrics_port, str(options.metrics_dir)), route_prefix="/predict")
        print(f"Serving at http://127.0.0.1:{options.port}/predict", flush=True)
        threading.Event().wait()
    serve.shutdown()
    ray.shutdown()


def _options() -> argparse.Namespace:
    shared = Path(tempfile.gettempdir(), "gangplank", "replicas")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="where to serve the network (%(default)s)")
    parser.add_argument("--metrics-port", type=int, default=8561, help="where to serve the metrics (%(default)s)")
    parser.add_argument("--metrics-dir", type=Path, default=shared, help="where replicas keep them (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()

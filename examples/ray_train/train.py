"""Trains the network in a Ray Train job of two workers, which send their metrics to a Pushgateway."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

# For the workers, too: what Ray starts on this machine has this environment.
os.environ["KERAS_BACKEND"] = "jax"
# Ray listens on loopback then, as on those two it does anyway. A cluster of several machines does without.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

import ray
import worker
from ray.train import RunConfig, ScalingConfig
from ray.train.v2.jax import JaxTrainer

_WORKERS = 2


def main() -> None:
    """Start Ray, have the workers train, and stop it."""
    options = _options()
    ray.init(
        "local",
        num_cpus=_WORKERS,
        object_store_memory=100_000_000,
        include_dashboard=False,
        logging_config=ray.LoggingConfig(log_level="ERROR"),
    )
    try:
        trainer = JaxTrainer(
            worker.train,
            train_loop_config={"epochs": options.epochs, "gateway": options.gateway},
            scaling_config=ScalingConfig(num_workers=_WORKERS),
            run_config=RunConfig(storage_path=str(Path(tempfile.gettempdir(), "gangplank", "ray"))),
        )
        trainer.fit()
    finally:
        ray.shutdown()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10, help="how often to go through the images (%(default)s)")
    parser.add_argument("--gateway", default="127.0.0.1:9091", help="the Pushgateway (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()

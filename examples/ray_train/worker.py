"""What each worker of the job does: it trains on its share of the digits, in step with the others."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import jax
import keras
import ray
import ray.train
from ray.train import collective

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import convnet
import digits

import gangplank


def train(config: dict[str, Any]) -> None:
    """Train, and push what is to be known of it."""
    context = ray.train.get_context()
    rank, workers = context.get_world_rank(), context.get_world_size()
    _meet(rank, workers)
    keras.utils.set_random_seed(0)  # so that all begin with the same weights
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    (images, labels), *_ = digits.load(small=True)
    share = slice(rank, len(images) // workers * workers, workers)
    exporter = gangplank.PushgatewayExporter(config["gateway"], "mnist")
    # Ray kills its workers when they are through: there is no end of a program that would close the telemetry.
    with gangplank.Telemetry(exporters=[exporter]) as telemetry:
        convnet.build().fit(
            images[share],
            labels[share],
            batch_size=32,
            epochs=config["epochs"],
            verbose=2 if rank == 0 else 0,
            callbacks=[gangplank.TelemetryCallback(telemetry)],
        )


def _meet(rank: int, workers: int) -> None:
    """Have JAX know of the other workers; where there are GPUs or TPUs, Ray has seen to that."""
    if not jax.distributed.is_initialized():
        address = collective.broadcast_from_rank_zero(_free_address() if rank == 0 else None)
        jax.distributed.initialize(address, workers, rank, coordinator_bind_address=address)


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind((ray.util.get_node_ip_address(), 0))
        host, port = probe.getsockname()
    return f"{host}:{port}"

"""A Ray Train job of two workers, the second of which fails while the first trains on: ray_job.py GATEWAY STORAGE."""

import importlib
import os
import sys
from typing import Any

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # on loopback

import gangplank

ray: Any = importlib.import_module("ray")
train: Any = importlib.import_module("ray.train")
# That of plain functions: it leaves JAX alone unless there are GPUs.
trainer: Any = importlib.import_module("ray.train.v2.jax").JaxTrainer


def work(gateway: str) -> None:
    """Train, as one of the workers: nobody says here which, and nobody closes the telemetry."""
    telemetry = gangplank.Telemetry(exporters=[gangplank.PushgatewayExporter(gateway, "together")])
    with telemetry.training_run("net") as run:
        run.step()
        telemetry.flush()
        importlib.import_module("ray.train.collective").barrier()
        if importlib.import_module("ray.train").get_context().get_world_rank() == 1:
            raise ValueError("there is no more data")
        while True:
            run.step()


ray.init("local", num_cpus=2, object_store_memory=100_000_000, include_dashboard=False)
gateway, storage = sys.argv[1:]
job = trainer(
    lambda: work(gateway),
    scaling_config=train.ScalingConfig(num_workers=2),
    run_config=train.RunConfig(storage_path=storage),
)
job.fit()

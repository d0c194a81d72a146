"""Which process of a job that runs as several this one is, as launchers say."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

_VARIABLES = (
    ("RANK", "WORLD_SIZE"),  # torchrun, and what follows its example
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),  # mpirun of Open MPI
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),  # srun
)
_TENSORFLOW = "TF_CONFIG"


def rank(environ: Mapping[str, str] = os.environ) -> tuple[int, str] | None:
    """Return this process's rank and the variable or the launcher that tells it, or None if it is alone in its job."""
    return _of_ray() or _of_environment(environ)


def in_ray_train() -> tuple[int, int] | None:
    """Return the rank of a worker of Ray Train and how many there are; each is killed when its work is done."""
    train = sys.modules.get("ray.train")
    try:
        context = None if train is None else train.get_context()
        number, count = (None, None) if context is None else (context.get_world_rank(), context.get_world_size())
    except Exception:  # noqa: BLE001 - this is no such worker, which each version of Ray says in its own way
        return None
    return (number, count) if isinstance(number, int) and isinstance(count, int) else None


def _of_ray() -> tuple[int, str] | None:
    """Return what Ray Train says to its workers, whose environment is that of whatever started Ray on their machine."""
    number, count = in_ray_train() or (0, 1)
    return (number, "Ray Train") if count > 1 else None


def _of_environment(environ: Mapping[str, str]) -> tuple[int, str] | None:
    for variable, of in _VARIABLES:
        number, count = environ.get(variable, ""), environ.get(of, "")
        if number.isdecimal() and count.isdecimal() and int(count) > 1:
            return int(number), variable
    return _of_tensorflow(environ.get(_TENSORFLOW, ""))


def _of_tensorflow(text: str) -> tuple[int, str] | None:
    """Return what ``TF_CONFIG`` says: https://www.tensorflow.org/guide/distributed_training#setting_up_the_tf_config_environment_variable."""
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        others = [(kind, index) for kind in ("chief", "worker") for index in range(len(cluster.get(kind, ())))]
        return (others.index((task["type"], int(task["index"]))), _TENSORFLOW) if len(others) > 1 else None
    except (ValueError, KeyError, TypeError, AttributeError):  # none, or not one of those that train
        return None

"""Which process of a job that runs as several this one is, as launchers say in the environment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

_VARIABLES = (
    ("RANK", "WORLD_SIZE"),  # torchrun, and what follows its example
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),  # mpirun of Open MPI
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),  # srun
)
_TENSORFLOW = "TF_CONFIG"


def rank(environ: Mapping[str, str] = os.environ) -> tuple[int, str] | None:
    """Return this process's rank and the variable that tells it, or None if the job has no other process."""
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

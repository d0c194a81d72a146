"""Which process of a job that runs as several this one is, as launchers say in the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping

_VARIABLES = (
    ("RANK", "WORLD_SIZE"),  # torchrun, and what follows its example
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),  # mpirun of Open MPI
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),  # srun
)


def rank(environ: Mapping[str, str] = os.environ) -> tuple[int, str] | None:
    """Return this process's rank and the variable that tells it, or None if the job has no other process."""
    for variable, of in _VARIABLES:
        number, count = environ.get(variable, ""), environ.get(of, "")
        if number.isdecimal() and count.isdecimal() and int(count) > 1:
            return int(number), variable
    return None

"""Which process of a distributed run this one is: as the backend knows, or else as launchers say in the environment."""

from __future__ import annotations

import sys

from gangplank import ranks


def rank() -> int | None:
    """Return this process's rank, from 0, or None if the run has no other process.

    Only what the program has initialised is asked: nothing is initialised here.
    """
    for ask in (_of_jax, _of_torch):
        found = ask()
        if found is not None:
            return found
    named = ranks.rank()
    return None if named is None else named[0]


def _of_jax() -> int | None:
    jax = sys.modules.get("jax")
    is_initialized = getattr(getattr(jax, "distributed", None), "is_initialized", None)  # not there before JAX 0.5
    if jax is None or is_initialized is None or not is_initialized() or jax.process_count() == 1:
        return None
    return int(jax.process_index())


def _of_torch() -> int | None:
    torch = sys.modules.get("torch")
    distributed = getattr(torch, "distributed", None)
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return int(distributed.get_rank()) if distributed.get_world_size() > 1 else None

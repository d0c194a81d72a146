"""What it costs to make an ``MMDDrift`` and to update it: processor time and memory, each setting in its own process.

The baseline, made in the same run, is the kernel of the reference with itself and nothing more: what a detector that
keeps the whole matrix computes before all else. ``python benchmarks/drift_construction.py`` takes a minute.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np

from gangplank import MMDDrift

ROWS, WIDTH, ERT, WINDOW = 20_000, 10, 500, 200
UPDATED = 6_400
SETTINGS: dict[str, dict[str, Any]] = {
    "baseline: the kernel matrix": {},
    "5,000 streams, all of the reference": {"n_streams": 5_000, "max_reference": ROWS},
    "5,000 streams": {"n_streams": 5_000},
    "automatic": {"n_streams": "auto"},
}


def spent(work: Callable[[], object]) -> float:
    """Return the seconds of processor time that it takes."""
    began = process_time()
    work()
    return process_time() - began


def kernel(reference: np.ndarray) -> None:
    """Compute the kernel matrix, a hundred rows at a time."""
    squares = (reference**2).sum(axis=1)
    for begin in range(0, ROWS, 100):
        rows = reference[begin : begin + 100]
        distances = squares[begin : begin + 100, None] + squares - 2 * rows @ reference.T
        np.exp(np.minimum(-distances / 20, 0), out=distances).sum(axis=1)


def measure(name: str) -> dict[str, float]:
    """Return seconds, MiB at the most, and microseconds a row of updates of one and of 32."""
    random = np.random.default_rng(0)
    reference, later = (random.normal(size=(size, WIDTH)).astype("float32") for size in (ROWS, UPDATED))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made: list[MMDDrift] = []
    settings = SETTINGS[name]
    make = (lambda: made.append(MMDDrift(reference, ert=ERT, window=WINDOW, seed=0, **settings))) if settings else None
    found = {"seconds": spent(make or (lambda: kernel(reference)))}
    found["MiB"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    for size in (1, 32) if made else ():
        batches = np.split(later, UPDATED // size)
        found[str(size)] = spent(lambda batches=batches: [made[0].update(None, one) for one in batches]) / UPDATED * 1e6
    return found


def main() -> None:
    """Measure every setting, each in a process of its own, and print a table."""
    print("| | CPU-s | of the baseline's | MiB more | µs a row, singly | µs a row, in batches of 32 |")
    print("|---|---:|---:|---:|---:|---:|")
    baseline = 0.0
    for name in SETTINGS:
        command = [sys.executable, __file__, name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - this file
        found: dict[str, float] = json.loads(done.stdout)
        baseline = baseline or found["seconds"]
        updates = [f"{found[size]:.0f}" if size in found else "" for size in ("1", "32")]
        cells = [f"{found['seconds']:.2f}", f"{found['seconds'] / baseline:.2f}", f"{found['MiB']:.0f}", *updates]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
    else:
        main()

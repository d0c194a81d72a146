"""What MMDDrift takes to construct and to update, and how soon it sees a drift, beside alibi-detect's MMDDriftOnline.

Run it in an environment of its own, which README.md beside it says how to make: alibi-detect wants NumPy below 2.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from time import process_time

import numpy as np
from drift_calibration import Digits, Floats, Found, Make, alarms, delay, mean_and_error, row

from gangplank.drift.detector import Detector
from gangplank.drift.foreign import AlibiDrift
from gangplank.drift.mmd import MMDDrift

BATCH = 32
BATCHES = 100
ALIBI = "MMDDriftOnline"
CURE = {"MALLOC_MMAP_THRESHOLD_": "200000"}
"""Without it, alibi-detect fragments the heap until it takes more than 20 GB. Ours takes twice the time with it."""


def alibis(reference: Floats, options: argparse.Namespace, seed: int) -> Detector:
    """Return alibi-detect's detector, made to be one of ours."""
    import torch  # noqa: PLC0415 - in no other detector's process
    from alibi_detect.cd import MMDDriftOnline  # noqa: PLC0415

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - what it draws from
    detector = MMDDriftOnline(
        reference.astype(np.float32),
        ert=options.ert,
        window_size=options.window,
        backend="pytorch",
        n_bootstraps=options.streams,
        device="cpu",
        verbose=False,
    )
    return AlibiDrift(detector, on=_singles)


def alike(reference: Floats, options: argparse.Namespace, seed: int) -> Detector:
    """Return ours with alibi-detect's settings: as many streams, evaluated at each observation."""
    return MMDDrift(reference, ert=options.ert, window=options.window, n_streams=options.streams, stride=1, seed=seed)


def ours(reference: Floats, options: argparse.Namespace, seed: int) -> Detector:
    """Return ours as it is by default."""
    return MMDDrift(reference, ert=options.ert, window=options.window, seed=seed)


def _singles(_x: object, y: Floats) -> np.ndarray:
    return y.astype(np.float32)


DETECTORS: dict[str, Make] = {
    ALIBI: alibis,
    "MMDDrift, set alike": alike,
    "MMDDrift": ours,
}


def measured(make: Make, options: argparse.Namespace, seed: int) -> tuple[Found, float]:
    """Return what a detector does, and microseconds of processor time an observation in batches."""
    random = np.random.default_rng(seed)
    source = Digits()
    reference = source.draw(options.reference, random)
    began = process_time()
    detector = make(reference, options, seed)
    seconds = process_time() - began
    run_times, update = alarms(detector, source, options, random)
    delays = [delay(detector, source, options, random) for _ in range(options.runs // 2)]
    stream = source.draw(BATCH * BATCHES, random)
    began = process_time()
    for begin in range(0, len(stream), BATCH):
        detector.update(None, stream[begin : begin + BATCH])
    return Found(seconds, run_times, delays, update), (process_time() - began) / len(stream) * 1e6


def in_a_process(name: str, seed: int) -> tuple[Found, float]:
    """Return the same, from a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--only", name, str(seed)]
    environment = {**os.environ, **(CURE if name == ALIBI else {})}
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)  # noqa: S603 - this file
    found, batched = json.loads(ran.stdout)
    return Found(*found), batched


def summary(name: str, found: list[tuple[Found, float]], alibi: float) -> str:
    """Return a line of the table over all references."""
    run_time, its_error = mean_and_error([time for one, _ in found for time in one.run_times])
    seen, of_seen = mean_and_error([time for one, _ in found for time in one.delays])
    seconds = mean(lambda one: one.seconds, found)
    cells = (
        f"{seconds:.2f}",
        f"1/{alibi / seconds:.0f}",
        f"{run_time:.0f} ± {its_error:.0f}",
        f"{seen:.1f} ± {of_seen:.1f}",
        f"{mean(lambda one: one.update, found):.0f}",
        f"{statistics.fmean(batched for _, batched in found):.0f}",
    )
    return f"| {name} | {' | '.join(cells)} |"


def mean(value: Callable[[Found], float], found: list[tuple[Found, float]]) -> float:
    """Return the mean over references."""
    return statistics.fmean(value(one) for one, _ in found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=int, default=2000, help="rows of the reference (default: 2000)")
    parser.add_argument("--streams", type=int, default=2000, help="simulated streams, or bootstraps (default: 2000)")
    parser.add_argument("--window", type=int, default=50, help="rows in the window (default: 50)")
    parser.add_argument("--ert", type=int, default=200, help="expected run time (default: 200)")
    parser.add_argument("--seeds", type=int, default=5, help="references (default: 5)")
    parser.add_argument("--runs", type=int, default=400, help="false alarms a reference (default: 400)")
    parser.add_argument("--only", nargs=2, metavar=("DETECTOR", "SEED"), help="what to measure in this process")
    options = parser.parse_args()
    if options.only:
        name, seed = options.only
        print(json.dumps(measured(DETECTORS[name], options, int(seed))))
        return
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch", "alibi-detect", "gangplank"))
    print(f"python {platform.python_version()}, {versions}, load {os.getloadavg()}\n{options}\n")
    print("| reference | detector | construct s | run time | median | <= ert/4 | > 2 ert | delay | µs an observation |")
    print("|---:|---|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    found: dict[str, list[tuple[Found, float]]] = {name: [] for name in DETECTORS}
    for seed in range(options.seeds):
        for name, each in found.items():
            each.append(in_a_process(name, seed))
            print(row(f"{seed} | {name}", each[-1][0], options.ert), flush=True)
    alibi = mean(lambda one: one.seconds, found[ALIBI])
    print("\n| detector | construct s | of alibi-detect's | run time | delay | µs singly | µs in 32s |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, each in found.items():
        print(summary(name, each, alibi))


if __name__ == "__main__":
    main()

"""Whether drift detectors keep what they promise: the run time between false alarms, and how soon they see a drift.

Run it as ``python benchmarks/drift_calibration.py --detector mmd``; README.md beside it says how to read the output.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import statistics
from collections.abc import Callable
from importlib.metadata import version
from time import process_time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from gangplank.drift.classes import ClassDrift
from gangplank.drift.column_statistics import Name
from gangplank.drift.detector import Detector
from gangplank.drift.features import FeatureDrift
from gangplank.drift.mmd import MMDDrift

BATCHES = (1, 7, 64)
NOISE = 2.0
"""Standard deviation of what is added to pixels of 0 to 16, so that the stream of images has no end."""

Floats = npt.NDArray[np.float64]
Make = Callable[[Floats, argparse.Namespace, int], Detector]


class Digits:
    """An endless stream of the probabilities that a classifier of handwritten digits gives to unseen images."""

    def __init__(self) -> None:
        images, self._labels = load_digits(return_X_y=True)
        half = len(images) // 2
        self._model = LogisticRegression(max_iter=2000).fit(images[:half] / 16, self._labels[:half])
        self._images, self._labels = images[half:], self._labels[half:]

    def draw(self, number: int, random: np.random.Generator, *, is_drifted: bool = False) -> Floats:
        """Return predictions; with drift there is no digit 0."""
        images = self._images[self._labels != 0] if is_drifted else self._images
        chosen = images[random.integers(len(images), size=number)]
        predicted: Floats = self._model.predict_proba((chosen + random.normal(0, NOISE, chosen.shape)) / 16)
        return predicted


def _features(statistic: Name) -> Make:
    return lambda reference, options, seed: FeatureDrift(
        reference,
        statistic=statistic,
        ert=options.ert,
        window=options.window,
        stride=options.stride,
        on="predictions",
        seed=seed,
    )


DETECTORS: dict[str, Make] = {
    "mmd": lambda reference, options, seed: MMDDrift(
        reference, ert=options.ert, window=options.window, stride=options.stride, seed=seed
    ),
    "classes": lambda reference, options, seed: ClassDrift(
        reference, ert=options.ert, window=options.window, stride=options.stride, seed=seed
    ),
    "ks": _features("ks"),
    "psi": _features("psi"),
    "wasserstein": _features("wasserstein"),
    "chi2": _features("chi2"),
}


class Found(NamedTuple):
    """What one detector did.

    Attributes:
        seconds: Processor time to construct it.
        run_times: Observations up to each false alarm.
        delays: Observations of a drift up to each detection.
        update: Microseconds of processor time an observation, singly.
    """

    seconds: float
    run_times: list[int]
    delays: list[int]
    update: float


def measured(make: Make, source: Digits, options: argparse.Namespace, seed: int) -> Found:
    """Return what a detector with a reference of its own does."""
    random = np.random.default_rng(seed)
    reference = source.draw(options.reference, random)
    began = process_time()
    detector = make(reference, options, seed)
    seconds = process_time() - began
    run_times, update = alarms(detector, source, options, random)
    delays = [delay(detector, source, options, random) for _ in range(options.runs // 4)]
    return Found(seconds, run_times, delays, update)


def alarms(
    detector: Detector, source: Digits, options: argparse.Namespace, random: np.random.Generator
) -> tuple[list[int], float]:
    """Return the run times up to so many false alarms, one observation at a time, and microseconds an observation."""
    found: list[int] = []
    seen = total = 0
    seconds = 0.0
    while len(found) < options.runs:
        fresh = source.draw(1000, random)
        began = process_time()
        for row in range(len(fresh)):
            seen += 1
            result = detector.update(None, fresh[row : row + 1])
            if result is not None and result.drift_detected:
                found.append(seen)
                seen = 0
        seconds += process_time() - began
        total += len(fresh)
    return found[: options.runs], seconds / total * 1e6


def delay(detector: Detector, source: Digits, options: argparse.Namespace, random: np.random.Generator) -> int:
    """Return how many observations of a drift it takes, after a window without; those that alarmed are done again."""
    while True:
        detector.reset()
        before = detector.update(None, source.draw(options.window, random))
        if before is None or not before.drift_detected:
            break
    seen = 0
    while True:
        for row in source.draw(options.window, random, is_drifted=True):
            seen += 1
            result = detector.update(None, row[None])
            if result is not None and result.drift_detected:
                return seen


def is_cut_alike(make: Make, source: Digits, options: argparse.Namespace) -> bool:
    """Return whether the same observations in batches of several sizes are alarmed about at the same ones."""
    random = np.random.default_rng(options.seeds)
    reference = source.draw(options.reference, random)
    stream = source.draw(math.lcm(*BATCHES) * 50, random)
    counts: list[list[int]] = []
    for size in BATCHES:
        detector = make(reference, options, 0)
        found = [detector.update(None, stream[begin : begin + size]) for begin in range(0, len(stream), size)]
        events = np.array([result.drift_detected if result else 0 for result in found])
        counts.append(list(events.reshape(50, -1).sum(axis=1)))
    return counts[0] == counts[1] == counts[2]


def row(name: str, found: Found, ert: int) -> str:
    """Return a line of the table."""
    mean, error = mean_and_error(found.run_times)
    times = np.array(found.run_times)
    cells = (
        f"{found.seconds:.2f}",
        f"{mean:.0f} ± {error:.0f}",
        f"{statistics.median(found.run_times):.0f}",
        f"{(times <= ert / 4).mean():.3f}",
        f"{(times > 2 * ert).mean():.3f}",
        f"{statistics.fmean(found.delays):.0f}",
        f"{found.update:.0f}",
    )
    return f"| {name} | {' | '.join(cells)} |"


def mean_and_error(times: list[int]) -> tuple[float, float]:
    """Return the mean and its standard error."""
    return statistics.fmean(times), statistics.stdev(times) / math.sqrt(len(times))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", choices=[*DETECTORS], default="mmd", help="which one (default: mmd)")
    parser.add_argument("--reference", type=int, default=2000, help="rows of the reference (default: 2000)")
    parser.add_argument("--window", type=int, default=50, help="rows in the window (default: 50)")
    parser.add_argument("--stride", type=int, default=None, help="rows between evaluations (default: window / 20)")
    parser.add_argument("--ert", type=int, default=200, help="expected run time (default: 200)")
    parser.add_argument("--seeds", type=int, default=8, help="references (default: 8)")
    parser.add_argument("--runs", type=int, default=400, help="false alarms a reference (default: 400)")
    options = parser.parse_args()
    source, make = Digits(), DETECTORS[options.detector]
    print(f"python {platform.python_version()}, numpy {np.__version__}, ", end="")
    print(f"gangplank {version('gangplank')}, load {os.getloadavg()}\n{options}\n")
    print("| reference | construct s | run time | median | <= ert/4 | > 2 ert | delay | µs an observation |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    found = []
    for seed in range(options.seeds):
        found.append(measured(make, source, options, seed))
        print(row(str(seed), found[-1], options.ert), flush=True)
    mean, error = mean_and_error([time for one in found for time in one.run_times])
    delays, of_delays = mean_and_error([time for one in found for time in one.delays])
    print(f"\nrun time {mean:.1f} ± {error:.1f}, expected {options.ert}, {mean / options.ert - 1:+.1%}")
    print(f"without memory: median {options.ert * math.log(2):.0f}, ", end="")
    print(f"<= ert/4 {-math.expm1(-1 / 4):.3f}, > 2 ert {math.exp(-2):.3f}")
    print(f"delay {delays:.1f} ± {of_delays:.1f}")
    print(f"the same alarms in batches of {BATCHES}: {is_cut_alike(make, source, options)}")


if __name__ == "__main__":
    main()

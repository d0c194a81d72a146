"""Watches for drift in what the network predicts, while one of the digits disappears from what it is asked."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from matplotlib.figure import Figure

sys.path.extend(str(folder) for folder in Path(__file__).resolve().parents[1:3])

import convnet
import digits
from traffic import WITHHELD, Traffic

import gangplank

ERT, WINDOW = 2_000, 200
BATCHES = (1, 2, 4, 8, 16, 32)
REPORTS = 10


class Plan(NamedTuple):
    """How much of everything there is.

    Attributes:
        reference: Predictions that the detector compares with.
        quiet: Images before one digit is withheld.
        withheld: Images from then on.
        minutes: How long all of them take.
    """

    reference: int
    quiet: int
    withheld: int
    minutes: float


AT_LEISURE = Plan(reference=10_000, quiet=2_000, withheld=5_000, minutes=5)
FAST = Plan(reference=4_000, quiet=1_000, withheld=3_500, minutes=0.25)


class Recording(gangplank.MMDDrift):
    """The detector, which also says what it detects, and keeps what it found for the plot."""

    results: list[gangplank.DriftResult]

    def update(self, x: Any, y: Any) -> gangplank.DriftResult:  # noqa: ANN401 - the model's
        """Look at a batch."""
        result = super().update(x, y)
        self.results.append(result)
        if result.drift_detected:
            seen = sum(one.observations for one in self.results)
            print(f"  after {seen:,} images: drift detected", flush=True)
        return result


def main() -> None:
    """Make the detector, predict, and show what was detected."""
    options = _options()
    plan = FAST if options.fast else AT_LEISURE
    if not convnet.SAVED.is_file():
        sys.exit(f"{os.path.relpath(convnet.SAVED)} is not there: run train/train.py first")
    _, test, source = digits.load(small=options.fast)
    print(f"Images are those to test with of {source}, moved and with noise")
    traffic = Traffic(*test)
    model = keras.saving.load_model(convnet.SAVED)
    detector = _detector(model.predict(traffic.draw(plan.reference), verbose=0))
    try:
        watched = gangplank.PrometheusModel(model, port=options.port, drift=detector)
    except gangplank.ServerStartError as error:
        sys.exit(str(error))
    print(f"Metrics: http://127.0.0.1:{options.port}/metrics")
    _predict(watched, detector, traffic, plan._replace(minutes=options.minutes or plan.minutes))
    _plot(detector, plan.quiet, options.plot)
    print(f"The plot is {options.plot}")
    if sys.stdin.isatty() and sys.stdout.isatty():
        _stay()


def _detector(reference: Any) -> Recording:  # noqa: ANN401 - an array
    began = time.perf_counter()
    detector = Recording(reference, ert=ERT, window=WINDOW)
    detector.results = []
    seconds = time.perf_counter() - began
    print(f"A detector with {len(reference):,} predictions for a reference was made in {seconds:.1f} s")
    return detector


def _predict(model: Any, detector: Recording, traffic: Traffic, plan: Plan) -> None:  # noqa: ANN401 - the proxy
    """Have the images predicted, and say now and then how things are."""
    every = (plan.quiet + plan.withheld) // REPORTS
    done = 0
    for images in traffic.batches(BATCHES, plan.quiet, plan.withheld, plan.minutes):
        model.predict(images, verbose=0)
        done += len(images)
        if done % every < len(images) and detector.results:
            statistic = detector.results[-1].test_statistic or 0.0
            print(
                f"{done:,} images: the statistic is {statistic / detector.threshold:.2f} of the threshold", flush=True
            )
    model.telemetry.flush()  # until all are looked at
    detections = sum(result.drift_detected for result in detector.results)
    print(f"{detections} detections in {done:,} images")


def _plot(detector: Recording, quiet: int, file: Path) -> None:
    """Draw the statistic, and the threshold that it is compared with."""
    seen = np.cumsum([result.observations for result in detector.results])
    statistics = [result.test_statistic for result in detector.results]
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(seen, statistics, linewidth=1, label="statistic (squared MMD)")
    axes.axhline(detector.threshold, color="black", linewidth=1, label="threshold")
    axes.axvline(quiet, color="gray", linestyle="--", label=f"from here on without the digit {WITHHELD}")
    detected = [result.drift_detected > 0 for result in detector.results]
    top = np.full(np.count_nonzero(detected), detector.threshold)
    axes.plot(seen[detected], top, "rv", label="detected")
    axes.set(xlabel="images", title=f"MMDDrift(ert={ERT}, window={WINDOW})")
    figure.legend(loc="outside lower center", ncols=4)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=100)


def _stay() -> None:
    print("\nStill serving until you press Enter or Ctrl-C.")
    try:
        input()
    except (EOFError, KeyboardInterrupt):
        print()
    print("Stopped.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8561, help="port to serve the metrics at (%(default)s)")
    parser.add_argument("--minutes", type=float, help="how long to predict (5; with --fast a quarter of one)")
    parser.add_argument("--fast", action="store_true", help="use the small set of digits, and fewer of them")
    plot = Path(tempfile.gettempdir()) / "gangplank" / "mmd.png"
    parser.add_argument("--plot", type=Path, default=plot, help="file to draw to (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()

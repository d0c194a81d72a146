"""Watches the digits that the network reads, by a hand-written test and by a detector, while one of them disappears."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import chisquare

sys.path.extend(str(folder) for folder in Path(__file__).resolve().parents[1:3])

import convnet
import digits
from traffic import IN_MNIST, WITHHELD, Traffic

import gangplank

ERT, WINDOW = 20_000, 250
BATCHES = (25, 50, 100, 200, 400)
LEAST = 50
LEVEL = 0.05
AVERAGED = 20


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


AT_LEISURE = Plan(reference=10_000, quiet=15_000, withheld=15_000, minutes=12)
FAST = Plan(reference=5_000, quiet=6_000, withheld=6_000, minutes=0.2)


class HandWritten:
    """A drift function as one wrote it for gangplank 0.5.0: does each digit make a tenth of the batch?

    Attributes:
        found: Images up to the end of each batch that is large enough for the test, and its p-value.
    """

    def __init__(self) -> None:
        self.found: list[tuple[int, float]] = []
        self._seen = 0

    def __call__(self, _: Any, predictions: Any) -> gangplank.Drift:  # noqa: ANN401 - arrays
        """Look at a batch."""
        self._seen += len(predictions)
        if len(predictions) < LEAST:
            return gangplank.Drift()
        test = chisquare(np.bincount(predictions.argmax(axis=1), minlength=len(IN_MNIST)))
        self.found.append((self._seen, float(test.pvalue)))
        return gangplank.Drift(p_value=test.pvalue, test_statistic=test.statistic)

    def averages(self) -> list[tuple[int, float]]:
        """Return the mean of as many p-values as an average over some minutes has, wherever there are enough."""
        values = [p_value for _, p_value in self.found]
        ends = range(AVERAGED, len(values) + 1)
        return [(self.found[end - 1][0], float(np.mean(values[end - AVERAGED : end]))) for end in ends]


class BuiltIn(gangplank.ClassDrift):
    """The detector, which also keeps what it found for the plot.

    Attributes:
        found: Images up to the end of each batch, and what was found in it.
    """

    found: list[tuple[int, gangplank.DriftResult]]

    def update(self, x: Any, y: Any) -> gangplank.DriftResult:  # noqa: ANN401 - the model's
        """Look at a batch."""
        result = super().update(x, y)
        self.found.append(((self.found[-1][0] if self.found else 0) + len(y), result))
        return result

    def detections(self) -> list[int]:
        """Return after how many images there was a detection."""
        return [seen for seen, result in self.found for _ in range(result.drift_detected)]


def main() -> None:
    """Predict with both of them looking on, and compare what they say."""
    options = _options()
    plan = FAST if options.fast else AT_LEISURE
    if not convnet.SAVED.is_file():
        sys.exit(f"{os.path.relpath(convnet.SAVED)} is not there: run train/train.py first")
    _, test, source = digits.load(small=options.fast)
    print(f"Images are those to test with of {source}, moved and with noise")
    traffic = Traffic(*test)
    model = keras.saving.load_model(convnet.SAVED)
    built_in = BuiltIn(model.predict(traffic.draw(plan.reference), verbose=0), ert=ERT, window=WINDOW)
    built_in.found = []
    written = HandWritten()
    try:
        watched = gangplank.PrometheusModel(model, port=options.port, get_drift_metrics_func=written, drift=built_in)
    except gangplank.ServerStartError as error:
        sys.exit(str(error))
    print(f"Metrics: http://127.0.0.1:{options.port}/metrics", flush=True)
    for images in traffic.batches(BATCHES, plan.quiet, plan.withheld, options.minutes or plan.minutes):
        watched.predict(images, verbose=0)
    watched.telemetry.flush()  # until all are looked at
    _say(written, built_in, plan.quiet)
    _plot(written, built_in, plan.quiet, options.plot)
    print(f"The plot is {options.plot}")
    if sys.stdin.isatty() and sys.stdout.isatty():
        _stay()


def _say(written: HandWritten, built_in: BuiltIn, quiet: int) -> None:
    for title, is_withheld in ((f"With all digits, {quiet:,} images", False), (f"Without the digit {WITHHELD}", True)):
        values = [p_value for seen, p_value in written.found if (seen > quiet) == is_withheld]
        detections = [seen for seen in built_in.detections() if (seen > quiet) == is_withheld]
        low = sum(p_value < LEVEL for p_value in values)
        after = f", the first after {detections[0] - quiet:,} images" if is_withheld and detections else ""
        print(f"{title}:")
        print(f"  {low} of {len(values)} batches have a p-value below {LEVEL}")
        print(f"  ClassDrift has {len(detections)} detections{after}")
    low_at = [seen for seen, average in written.averages() if average < LEVEL]
    when = f"below {LEVEL} for the first time after {low_at[0]:,} images" if low_at else f"never below {LEVEL}"
    print(f"The mean of {AVERAGED} p-values is {when}")


def _plot(written: HandWritten, built_in: BuiltIn, quiet: int, file: Path) -> None:
    """Draw what each of the two says, one above the other."""
    figure = Figure(figsize=(10, 6), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    for low, color in ((False, "tab:blue"), (True, "tab:red")):
        chosen = [one for one in written.found if (one[1] < LEVEL) == low]
        above.plot(*np.array(chosen).reshape(-1, 2).T, ".", color=color, label=f"{'below' if low else 'above'} {LEVEL}")
    above.plot(*np.array(written.averages()).reshape(-1, 2).T, color="black", label=f"mean of {AVERAGED}")
    above.axhline(LEVEL, color="gray", linewidth=1)
    above.set(title="hand-written: p-value of each batch, chi-square against a tenth each", yscale="log")
    seen = [images for images, _ in built_in.found]
    below.plot(seen, [result.test_statistic for _, result in built_in.found], label="statistic")
    below.axhline(built_in.threshold, color="black", linewidth=1, label="threshold")
    detections = built_in.detections()
    below.plot(detections, [built_in.threshold] * len(detections), "rv", label="detected")
    below.set(title=f"ClassDrift(ert={ERT:,}, window={WINDOW})", xlabel="images")
    for axes in (above, below):
        axes.axvline(quiet, color="gray", linestyle="--", label=f"no digit {WITHHELD} from here on")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
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
    parser.add_argument("--minutes", type=float, help="how long to predict (12; with --fast a fifth of one)")
    parser.add_argument("--fast", action="store_true", help="use the small set of digits, and fewer of them")
    plot = Path(tempfile.gettempdir()) / "gangplank" / "chi_square.png"
    parser.add_argument("--plot", type=Path, default=plot, help="file to draw to (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()

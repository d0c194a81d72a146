"""What it costs to watch a training: per step, per epoch end and per run, against no callback and TensorBoard.

Run it as ``python benchmarks/train_overhead.py``; README.md beside it says how to read what it prints.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import sys
from contextlib import ExitStack
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import keras
import numpy as np
from train_variants import Callbacks, Variant, variants

BATCH, FEATURES, CLASSES = 32, 16, 4
LOGS = {"accuracy": 0.5, "loss": 0.25}
Samples = dict[str, list[float]]

# Of each part: its title, its unit, and how many of these make a second.
PARTS = (("Per step", "µs", 1e6), ("Per epoch end", "ms", 1e3), ("A whole run of one step", "ms", 1e3))
HOOKS = ("Hooks of a step", "Hook of an epoch end")


class Subject:
    """A model so small that a step is short, with data for any number of steps."""

    def __init__(self, steps: int) -> None:
        keras.utils.set_random_seed(1)
        hidden = keras.layers.Dense(32, activation="relu")
        self.model = keras.Sequential([keras.Input((FEATURES,)), hidden, keras.layers.Dense(CLASSES)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
        random = np.random.default_rng(1)
        self._x = random.normal(size=(steps * BATCH, FEATURES)).astype("float32")
        self._y = random.integers(CLASSES, size=steps * BATCH)

    def fit(self, variant: Variant, *, epochs: int, steps: int) -> float:
        """Return the seconds that ``fit`` takes with fresh callbacks; garbage of before is not collected in it."""
        x, y, fresh = self._x[: steps * BATCH], self._y[: steps * BATCH], variant.callbacks()
        with variant.around():
            gc.collect()
            began = perf_counter_ns()
            self.model.fit(x, y, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0, callbacks=fresh)
            return (perf_counter_ns() - began) / 1e9

    def parts(self, variant: Variant, *, epochs: int, steps: int) -> tuple[float, float, float]:
        """Return the seconds of a step, of an epoch without its steps, and of a run of one step."""
        least = statistics.median(self.fit(variant, epochs=1, steps=1) for _ in range(3))
        step = (self.fit(variant, epochs=1, steps=steps) - least) / (steps - 1)
        return step, (self.fit(variant, epochs=epochs, steps=1) - least) / (epochs - 1) - step, least

    def hooks(self, callbacks: Callbacks, *, epochs: int, steps: int) -> tuple[list[float], list[float]]:
        """Return the seconds of each step's pair of hooks and of each epoch end, called without Keras between."""
        (callback,) = callbacks() or [keras.callbacks.Callback()]
        callback.set_model(self.model)
        callback.on_train_begin()
        callback.on_epoch_begin(0)
        gc.collect()
        of_steps, of_epochs = [], []
        for batch in range(steps):
            began = perf_counter_ns()
            callback.on_train_batch_begin(batch)
            callback.on_train_batch_end(batch, LOGS)
            of_steps.append((perf_counter_ns() - began) / 1e9)
        for epoch in range(epochs):
            began = perf_counter_ns()
            callback.on_epoch_end(epoch, LOGS)
            of_epochs.append((perf_counter_ns() - began) / 1e9)
        callback.on_train_end()
        return of_steps, of_epochs


def shown(values: list[float], digits: int = 2) -> str:
    """Return the median, with the quartiles in brackets."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def part_table(title: str, unit: str, scale: float, samples: Samples) -> str:
    """Return one part of all variants; ratios and differences are taken within each round, then their median."""
    baseline = next(iter(samples.values()))
    lines = [f"### {title}", "", f"| variant | {unit} | ratio | added {unit} |", "|---|---:|---:|---:|"]
    for name, values in samples.items():
        pairs = list(zip(values, baseline, strict=True))
        ratios = shown([value / base for value, base in pairs], 3)
        added = shown([(value - base) * scale for value, base in pairs])
        lines.append(f"| {name} | {shown([value * scale for value in values])} | {ratios} | {added} |")
    return "\n".join([*lines, ""])


def hook_table(of_steps: Samples, of_epochs: Samples) -> str:
    """Return the hooks by themselves, of variants that have them: the median and 99th percentile of all calls."""
    head = "| variant | step, median µs | step, p99 µs | epoch end, median µs | epoch end, p99 µs |"
    lines = ["### Hooks alone", "", head, "|---|---:|---:|---:|---:|"]
    for name in filter(of_steps.get, of_steps):
        percentiles = [statistics.quantiles(samples[name], n=100) for samples in (of_steps, of_epochs)]
        cells = [f"{each[percent - 1] * 1e6:.2f}" for each in percentiles for percent in (50, 99)]
        lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join([*lines, ""])


def environment() -> dict[str, Any]:
    """Return what the numbers were taken on."""
    backend = keras.backend.backend()
    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": f"{backend} {import_module(backend).__version__}",
        "gangplank": version("gangplank"),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=_several, default=500, help="steps of the long epoch (default: 500)")
    parser.add_argument("--epochs", type=_several, default=20, help="epochs of the run of short ones (default: 20)")
    parser.add_argument("--rounds", type=_several, default=7, help="times to measure every variant (default: 7)")
    parser.add_argument("--quick", action="store_true", help="only see that it works: the numbers mean nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to this file, too")
    options = parser.parse_args()
    if options.quick:
        options.steps, options.epochs, options.rounds = 20, 5, 2
    return options


def _several(text: str) -> int:
    if int(text) < 2:  # noqa: PLR2004 - a difference needs two
        raise argparse.ArgumentTypeError("must be 2 or more")
    return int(text)


def measure(options: argparse.Namespace) -> list[Samples]:
    """Measure every variant in turn, round after round, the first to warm up; return seconds by PARTS and HOOKS."""
    subject, size = Subject(options.steps), {"epochs": options.epochs, "steps": options.steps}
    with ExitStack() as stack:
        compared = variants(stack)
        measured: list[Samples] = [{name: [] for name in compared} for _ in (*PARTS, *HOOKS)]
        for number in range(options.rounds + 1):
            for name, variant in compared.items():
                hooks = subject.hooks(variant.callbacks, **size) if variant.is_callbacks_only else ([], [])
                taken = [*([one] for one in subject.parts(variant, **size)), *hooks]
                for samples, seconds in zip(measured, taken, strict=True):
                    samples[name].extend(seconds if number > 0 else [])
            print(f"round {number} of {options.rounds}", file=sys.stderr)
    return measured


def main() -> None:
    """Measure and print."""
    options, about = arguments(), environment()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print(f"{options.rounds} rounds of {options.steps} steps and {options.epochs} epochs; median [quartiles]\n")
    measured = measure(options)
    for part, samples in zip(PARTS, measured, strict=False):
        print(part_table(*part, samples))
    print(hook_table(*measured[len(PARTS) :]))
    if options.json:
        seconds = dict(zip([*(title for title, _, _ in PARTS), *HOOKS], measured, strict=True))
        options.json.write_text(json.dumps({"environment": about, "seconds": seconds}))


if __name__ == "__main__":
    main()

"""What drift detectors cost whoever predicts: how much longer a call of a real model takes, on average."""

from __future__ import annotations

import gc
import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from time import perf_counter, sleep
from typing import Any, NamedTuple

import keras
import numpy as np
from predict_subjects import BARE, OURS, settle
from train_overhead import shown

from gangplank import ClassDrift, MMDDrift, Telemetry, TelemetryModel
from gangplank.testing import InMemoryExporter

SIZE = 28
REFERENCE = 10_000

Samples = dict[str, list[float]]


class Case(NamedTuple):
    """One way of predicting: so many images a call, so many seconds between calls, of so many images in all."""

    title: str
    images: int
    gap: float = 0.0
    different: int = 4096


CASES = (
    Case("one image, a hundred times a second", 1, 0.009),
    Case("one image, without a pause", 1),
    Case("32 images, without a pause", 32),
    Case("the same image without a pause, which is a drift that stays", 1, different=1),
)


def convnet() -> keras.Model:
    """Return a small convolutional network that tells ten classes."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ],
        name="convnet",
    )


def images(number: int) -> np.ndarray:
    """Return images of noise."""
    return np.random.default_rng(number).normal(size=(number, SIZE, SIZE, 1)).astype("float32")


def variants(stack: ExitStack) -> dict[str, Any]:
    """Return the model, bare and with different detectors; ``stack`` closes what they need."""
    model = convnet()
    reference = model.predict(images(REFERENCE), batch_size=256, verbose=0)

    def watched(*kinds: type[MMDDrift | ClassDrift], **settings: Any) -> TelemetryModel:  # noqa: ANN401
        detectors = [kind(reference, ert=5_000, window=200, n_streams=500, seed=0) for kind in kinds]
        telemetry = stack.enter_context(Telemetry(exporters=[InMemoryExporter()]))
        return TelemetryModel(model, telemetry, drift=detectors, **settings)

    return {
        BARE: model,
        OURS: watched(),
        "TelemetryModel, again": watched(),
        "... with MMDDrift": watched(MMDDrift),
        "... with MMDDrift and ClassDrift": watched(MMDDrift, ClassDrift),
        "... with MMDDrift, drift_inline=True": watched(MMDDrift, drift_inline=True),
    }


def seconds_of_a_call(model: Any, batches: Iterator[np.ndarray], gap: float, span: float) -> float:  # noqa: ANN401
    """Return the mean seconds of a model's call within a span, in which detectors do their work too."""
    calls, spent, end = 0, 0.0, perf_counter() + span
    while (began := perf_counter()) < end:
        model.predict_on_batch(next(batches))
        spent += perf_counter() - began
        calls += 1
        if gap:
            sleep(gap)
    return spent / calls


def measured(span: float, rounds: int) -> dict[str, Samples]:
    """Return seconds of a call by case and variant, one of each round.

    Args:
        span: Seconds for which a variant is called, which is to be long beside the tenth that detectors wait.
        rounds: How often it is each variant's turn, after once to warm up.
    """
    with ExitStack() as stack:
        compared = variants(stack)
        found = {case.title: {name: list[float]() for name in compared} for case in CASES}
        gc.collect()
        gc.freeze()
        for number in range(rounds + 1):
            for case in CASES:
                batches = cycle(np.split(images(case.different), case.different // case.images))
                for name in random.sample(list(compared), len(compared)):
                    seconds = seconds_of_a_call(compared[name], batches, case.gap, span)
                    settle(compared[name])
                    found[case.title][name] += [seconds] if number > 0 else []
            print(f"drift: round {number} of {rounds}", file=sys.stderr)
    return found


def tables(found: dict[str, Samples]) -> str:
    """Return a table for each case; ratios are taken within each round, then their median."""
    lines: list[str] = []
    for title, samples in found.items():
        lines += [f"### `predict_on_batch` of {title}", ""]
        lines += ["| variant | mean µs | ratio to TelemetryModel |", "|---|---:|---:|"]
        for name, values in samples.items():
            ratios = [value / ours for value, ours in zip(values, samples[OURS], strict=True)]
            lines.append(f"| {name} | {shown([value * 1e6 for value in values], 0)} | {shown(ratios, 3)} |")
        lines.append("")
    return "\n".join(lines)

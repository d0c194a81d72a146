"""What it costs to watch inference: per call, from many threads, of a real model, for drift, in memory, and what for.

Run it as ``python benchmarks/predict_overhead.py``; README.md beside it says how to read what it prints, in Markdown.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import statistics
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path
from time import perf_counter
from types import FunctionType
from typing import Any, NamedTuple

import keras
import predict_drift
import predict_memory
import predict_parts
from predict_subjects import BARE, PREDECESSOR, Model, Noop, batch, dense, predecessor, settle, variants
from train_overhead import environment, shown

THREADS = 8
MORE = 10
"""By how much the calls of threads are more, so that they take turns often enough, and those of a real model fewer."""
AFTER = "`model(x)` of a model that does nothing, right after a call of the small Keras model"
FEW = 10
"""Calls of a real model, one after another, before it is the next variant's turn."""
WORKLOADS = ("calls", "threads", "model", "drift", "memory", "parts")

Samples = dict[str, list[float]]
Many = Callable[[Any, Any, int], None]


class Column(NamedTuple):
    """A column: its title, how it comes from a variant's value, the bare model's and 0.5.0's of a round, its digits."""

    title: str
    value: Callable[[float, float, float], float]
    digits: int = 0


ADDED_NS = (
    Column("ns", lambda value, bare, older: value * 1e9),  # noqa: ARG005 - what all columns take
    Column("added ns", lambda value, bare, older: (value - bare) * 1e9),  # noqa: ARG005
    Column("added, as a ratio to 0.5.0's", lambda value, bare, older: (value - bare) / (older - bare), 2),
)
WALL = (
    Column("ns per call", lambda value, bare, older: value * 1e9),  # noqa: ARG005
    Column("ratio to the bare model", lambda value, bare, older: value / bare, 2),  # noqa: ARG005
    Column("ratio to 0.5.0", lambda value, bare, older: value / older, 2),  # noqa: ARG005
)
SHARE = (
    Column("µs", lambda value, bare, older: value * 1e6, 1),  # noqa: ARG005
    Column("added µs", lambda value, bare, older: (value - bare) * 1e6, 1),  # noqa: ARG005
    Column("added, in %", lambda value, bare, older: (value - bare) / bare * 100, 1),  # noqa: ARG005
)


def calls(model: Any, x: Any, times: int) -> None:  # noqa: ANN401 - a model, and what it takes
    """Call the model."""
    for _ in repeat(None, times):
        model(x)


def predictions(model: Any, x: Any, times: int) -> None:  # noqa: ANN401
    """Have the model predict."""
    for _ in repeat(None, times):
        model.predict(x)


class Workload(NamedTuple):
    """One thing to measure of all variants.

    Attributes:
        option: The option to ask for it with.
        title: The title of its table.
        seconds: Returns the seconds that a call of one variant takes. None has all variants called in turn.
        many: Makes a number of calls.
        compared: The variants.
        x: What to call them with.
        times: How many calls to make of each.
        columns: The columns of its table.
        before: Called before each call where all variants are called in turn.
    """

    option: str
    title: str
    seconds: Callable[[Workload, Model], float] | None
    many: Many
    compared: dict[str, Model]
    x: Any
    times: int
    columns: tuple[Column, ...]
    before: Callable[[], object] = lambda: None

    def round(self) -> dict[str, float]:
        """Return the seconds that one call of each variant takes, all else that they began being done."""
        if self.seconds is None:
            return self._in_turn()
        measured: dict[str, float] = {}
        for name, model in self.compared.items():
            gc.collect()
            measured[name] = self.seconds(self, model)
            settle(model)
        return measured

    def alone(self, model: Model) -> float:
        """Return the seconds that a call takes, of many on one thread."""
        many = _own_code(self.many)
        many(model, self.x, self.times // 2)
        began = perf_counter()
        many(model, self.x, self.times)
        return (perf_counter() - began) / self.times

    def on_threads(self, model: Model) -> float:
        """Return the seconds that a call takes, of many that threads share, from the first to the last."""
        together, spans, many = threading.Barrier(THREADS), list[tuple[float, float]](), _own_code(self.many)

        def work() -> None:
            many(model, self.x, 10)  # a thread's first call is dearer
            together.wait()
            began = perf_counter()
            many(model, self.x, self.times // THREADS)
            spans.append((began, perf_counter()))

        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (max(ended for _, ended in spans) - min(began for began, _ in spans)) / self.times

    def _in_turn(self) -> dict[str, float]:
        """Return the median seconds of a call of each variant; a few calls of one, a few of another, in any order."""
        measured: dict[str, list[float]] = {name: [] for name in self.compared}
        for _ in range(0, self.times, FEW):
            for name in random.sample(list(self.compared), len(self.compared)):
                model = self.compared[name]
                for _ in repeat(None, FEW):
                    self.before()
                    began = perf_counter()
                    y = model(self.x)
                    measured[name].append(perf_counter() - began)
                    keras.ops.convert_to_numpy(y)  # waits for what is computed in the background
        return {name: statistics.median(values) for name, values in measured.items()}


def _own_code(function: Many) -> Many:
    """Return the same function with code of its own, since the interpreter adapts code to the types that it meets."""
    return FunctionType(function.__code__.replace(), function.__globals__)


def workloads(options: argparse.Namespace, stack: ExitStack) -> list[Workload]:
    """Return what to measure in rounds; ``stack`` closes what it needs."""
    if not {"calls", "threads", "model"} & set(options.only):
        return []
    older, many = predecessor(options.predecessor), options.calls
    most, few = many * MORE, many // MORE
    noops = variants(stack, older, Noop())
    net = dense()
    real = variants(stack, older, net)
    x, tensor = batch(), keras.ops.convert_to_tensor(batch())
    one, several = "`{}` of a model that does nothing", f"`{{}}` of a model that does nothing, on {THREADS} threads"
    found = [
        Workload("calls", one.format("model(x)"), Workload.alone, calls, noops, tensor, many, ADDED_NS),
        Workload("calls", one.format("predict"), Workload.alone, predictions, noops, x, many, ADDED_NS),
        Workload("threads", several.format("model(x)"), Workload.on_threads, calls, noops, tensor, most, WALL),
        Workload("threads", several.format("predict"), Workload.on_threads, predictions, noops, x, most, WALL),
        Workload("model", "`model(x)` of a small Keras model", None, calls, real, tensor, few, SHARE),
        Workload(
            "model", AFTER, None, calls, noops, tensor, few, ADDED_NS, lambda: keras.ops.convert_to_numpy(net(tensor))
        ),
    ]
    return [each for each in found if each.option in options.only]


def measure(compared: list[Workload], rounds: int) -> list[Samples]:
    """Measure every variant of every workload in turn, round after round, the first to warm up; return seconds."""
    measured: list[Samples] = [{name: [] for name in workload.compared} for workload in compared]
    gc.collect()
    gc.freeze()  # Keras's many objects would make each collection below a long one
    for number in range(rounds + 1):
        for workload, samples in zip(compared, measured, strict=True):
            for name, seconds in workload.round().items():
                samples[name] += [seconds] if number > 0 else []
        print(f"round {number} of {rounds}", file=sys.stderr)
    return measured


def table(workload: Workload, samples: Samples) -> str:
    """Return a workload's table; ratios and differences are taken within each round, then their median."""
    titles = [column.title for column in workload.columns]
    lines = [f"### {workload.title}", "", f"| {' | '.join(['variant', *titles])} |", f"|---|{len(titles) * '---:|'}"]
    for name, values in samples.items():
        rounds = list(zip(values, samples[BARE], samples[PREDECESSOR], strict=True))
        cells = [shown([column.value(*each) for each in rounds], column.digits) for column in workload.columns]
        lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join([*lines, ""])


def share_table(real: Samples, after: Samples) -> str:
    """Return what is added to a call of nothing that follows a real one as a share of that: it is the least noisy."""
    whole = statistics.median(real[BARE])
    lines = ["### The same as a share of a call of the small Keras model", "", "| variant | % |", "|---|---:|"]
    for name, values in after.items():
        added = [(value - bare) / whole * 100 for value, bare in zip(values, after[BARE], strict=True)]
        lines.append(f"| {name} | {shown(added)} |")
    return "\n".join([*lines, ""])


def arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=WORKLOADS, nargs="+", default=WORKLOADS, help="measure only these")
    parser.add_argument("--calls", type=int, default=2000, help="calls to a measurement (default: 2000)")
    parser.add_argument("--rounds", type=int, default=50, help="times to measure every variant (default: 50)")
    parser.add_argument("--memory-calls", type=int, default=10_000_000, help="calls for memory (default: 10 million)")
    parser.add_argument("--predecessor", type=Path, metavar="FOLDER", help="has gangplank 0.5.0 (default: from PyPI)")
    parser.add_argument("--quick", action="store_true", help="only see that it works: the numbers mean nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to this file, too")
    options = parser.parse_args()
    if options.quick:
        options.calls, options.rounds, options.memory_calls = 200, 2, 20_000
    return options


def main() -> None:
    """Measure and print."""
    options, about = arguments(), environment()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print(f"{options.rounds} rounds; median [quartiles]\n")
    raw: dict[str, Any] = {"environment": about}
    with ExitStack() as stack:
        compared = workloads(options, stack)
        measured = measure(compared, options.rounds)
    for workload, samples in zip(compared, measured, strict=True):
        print(table(workload, samples))
        raw[workload.title] = samples
    if "model" in options.only:
        print(share_table(*measured[-2:]))
    if "parts" in options.only:
        older = predecessor(options.predecessor)
        # So short that most are not interrupted: here small differences are to add up.
        raw["parts"] = predict_parts.measured(older, calls=options.calls // 4, rounds=options.rounds * 4)
        print(predict_parts.tables(raw["parts"]))
    if "drift" in options.only:
        raw["drift"] = predict_drift.measured(options.calls / 2000, options.rounds)
        print(predict_drift.tables(raw["drift"]))
    if "memory" in options.only:
        raw["memory"] = predict_memory.measured(options.memory_calls)
        print(predict_memory.table(raw["memory"]))
    if options.json:
        options.json.write_text(json.dumps(raw))


if __name__ == "__main__":
    main()

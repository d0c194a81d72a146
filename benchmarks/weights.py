"""What it costs to read weights: time as a multiple of a plain sum of the same arrays, and memory.

Run it from anywhere: python benchmarks/weights.py. benchmarks/README.md says what the numbers mean.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import predecessor
from prometheus_client import CollectorRegistry
from train_overhead import environment

from gangplank import HISTOGRAM_WEIGHT_BUCKETS_0_3, HISTOGRAM_WEIGHT_BUCKETS_1_0, summarize_weights
from gangplank.weights.bounds import fitting
from gangplank.weights.counting import flat_copy, largest_magnitude
from gangplank_keras import device_weights, tensors

SIZES = (100_000, 1_000_000, 10_000_000, 100_000_000)
BOUNDS = tuple(HISTOGRAM_WEIGHT_BUCKETS_1_0)
FLOOR = "plain sum"
_LOOPED = 1_000_000
"""Gangplank 0.5.0 takes minutes for more."""
_HIGH_WATER = Path("/proc/self/clear_refs")

Array = npt.NDArray[np.float32]


class Cost(NamedTuple):
    """What one way to read weights costs: seconds, and the most bytes that it had at a time; None if unknown."""

    seconds: float
    memory: int | None


def arrays(size: int) -> list[Array]:
    """Return ``size`` weights of three kernels as they are initialized, and of biases, which are 0."""
    random = np.random.default_rng(0)
    shares = [size // 2, size // 4, size - size // 2 - size // 4 - size // 100]
    return [
        *(random.standard_normal(share, np.float32) * np.float32(0.05) for share in shares),
        np.zeros(size // 100, "f"),
    ]


def histogram(parts: list[Array]) -> None:
    """NumPy's own, whose buckets hold their lower bound and not their upper one."""
    edges = np.asarray([-np.inf, *BOUNDS, np.inf])
    for part in parts:
        np.histogram(part, edges)


def searched(parts: list[Array]) -> None:
    """A binary search for each weight."""
    bounds = np.asarray(BOUNDS, np.float32)
    for part in parts:
        np.bincount(np.searchsorted(bounds, part), minlength=len(BOUNDS) + 1)


def boosted(parts: list[Array]) -> None:
    """Boost's histogram, of two threads; upside down, for its buckets hold their lower bound."""
    import boost_histogram as bh  # type: ignore[import-not-found]  # noqa: PLC0415 - an extra of the benchmarks

    found = bh.Histogram(bh.axis.Variable([-bound for bound in reversed(BOUNDS)]))
    for part in parts:
        found.fill(-part, threads=2)


def small(parts: list[Array]) -> list[Array]:
    """Return the same weights in a thousand arrays, as many small layers have them."""
    return [piece for part in parts for piece in np.array_split(part, 250)]


def ways(parts: list[Array], folder: Path | None) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield all ways to read these weights that are to be had here."""
    yield FLOOR, lambda: [part.sum() for part in parts]
    yield "summarize_weights, 21 bounds", lambda: summarize_weights(parts, BOUNDS)
    yield "... one thread", lambda: summarize_weights(parts, BOUNDS, threads=1)
    yield "... 13 bounds", lambda: summarize_weights(parts, tuple(HISTOGRAM_WEIGHT_BUCKETS_0_3))
    bounds = fitting(largest_magnitude(parts))
    yield '... 21 bounds that fit ("auto")', lambda: summarize_weights(parts, bounds)
    yield "... choosing them, which is done once", lambda: largest_magnitude(parts)
    kept = list(map(flat_copy, parts))
    yield '... "auto" with updates', lambda: summarize_weights(parts, bounds, before=kept)
    pieces = small(parts)
    yield '... "auto", of a thousand arrays', lambda: summarize_weights(pieces, bounds)
    yield "np.histogram", lambda: histogram(parts)
    yield "np.searchsorted and np.bincount", lambda: searched(parts)
    if find_spec("boost_histogram"):
        yield "boost-histogram", lambda: boosted(parts)
    if find_spec("tensorboard") and find_spec("tensorflow"):
        yield "keras.callbacks.TensorBoard", _tensorboard(parts)
    if sum(part.size for part in parts) <= _LOOPED:
        yield predecessor.NAME, _predecessor(parts, folder)


def _model(parts: list[Array]) -> Any:  # noqa: ANN401 - Keras is untyped
    """Return a model with these weights."""

    class Holder(keras.layers.Layer):  # type: ignore[misc,name-defined]  # Keras is untyped
        def build(self, _: Any) -> None:  # noqa: ANN401
            for number, part in enumerate(parts):
                self.add_weight(shape=part.shape, initializer="zeros", name=f"w{number}").assign(part)

        def call(self, inputs: Any) -> Any:  # noqa: ANN401
            return inputs

    model = keras.Sequential([keras.Input((1,)), Holder()])
    model.compile()
    return model


def _tensorboard(parts: list[Array]) -> Callable[[], object]:
    folder = tempfile.TemporaryDirectory()  # kept by the function that is returned
    callback = keras.callbacks.TensorBoard(folder.name, histogram_freq=1, write_graph=False)
    callback.set_model(_model(parts))
    return lambda: (callback.on_epoch_end(0, {}), folder)


def _predecessor(parts: list[Array], folder: Path | None) -> Callable[[], object]:
    module = predecessor.load("train_test_exporter", folder)
    callback = module.TrainTestExporter("127.0.0.1:1", "benchmark", histogram_buckets=list(BOUNDS))
    callback.set_model(_model(parts))

    def read() -> None:
        callback.registry = CollectorRegistry()
        callback._construct_histogram("model_weights")  # noqa: SLF001 - the rest of the hook would push

    return read


def measure(read: Callable[[], object], rounds: int) -> Cost:
    """Return the most memory of a first reading, and the median time of several after it."""
    gc.collect()
    before = _high_water()
    read()
    after = _high_water(reset=False)
    seconds = []
    for _ in range(rounds):
        began = perf_counter()
        read()
        seconds.append(perf_counter() - began)
    return Cost(statistics.median(seconds), None if before is None or after is None else max(after - before, 0))


def _high_water(*, reset: bool = True) -> int | None:
    """Return the most memory that the process has had resident since this was last reset, in bytes."""
    if not _HIGH_WATER.exists():
        return None
    if reset:
        _HIGH_WATER.write_text("5")
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def table(size: int, costs: dict[str, Cost]) -> str:
    """Return what the ways to read so many weights cost."""
    floor = costs[FLOOR].seconds
    lines = [f"### {size:,} weights", "", "| | ms | times the plain sum | extra MB |", "|---|---:|---:|---:|"]
    for name, (seconds, memory) in costs.items():
        extra = "" if memory is None else f"{memory / 1e6:.1f}"
        lines.append(f"| {name} | {seconds * 1e3:,.3f} | {seconds / floor:,.1f} | {extra} |")
    return "\n".join([*lines, ""])


def on_device(size: int, rounds: int) -> str:
    """Return what it costs to summarize one tensor where it lies, against copying it to be summarized here."""
    (tensor,) = tensors.of_variable(keras.Variable(arrays(size)[0], trainable=False))
    ops: Any = keras.ops
    compared = {
        FLOOR: lambda: float(ops.sum(tensor)),
        "summarized there": lambda: device_weights.finish(device_weights.begin(tensor, BOUNDS)),
        "... until the training goes on": lambda: device_weights.begin(tensor, BOUNDS),
        "copied and summarized here": lambda: summarize_weights([np.array(tensors.array_of(tensor))], BOUNDS),
    }
    costs = {name: measure(read, rounds) for name, read in compared.items()}
    return table(int(np.prod(tensor.shape)), costs)


def arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of weights")
    parser.add_argument("--rounds", type=int, default=7, help="times to measure each way (default: 7)")
    parser.add_argument("--quick", action="store_true", help="only see that it works: the numbers mean nothing")
    parser.add_argument("--device", action="store_true", help="also summarize where Keras's tensors lie")
    parser.add_argument("--predecessor", type=Path, metavar="FOLDER", help="has gangplank 0.5.0 (default: from PyPI)")
    options = parser.parse_args()
    if options.quick:
        options.sizes, options.rounds = (300_000,), 1
    return options


def main() -> None:
    """Measure and print."""
    options = arguments()
    print(", ".join(f"{key} {value}" for key, value in environment().items()))
    print(f"median of {options.rounds}\n")
    for size in options.sizes:
        parts = arrays(size)
        rounds = options.rounds if size > _LOOPED else 3 * options.rounds
        costs: dict[str, Cost] = {}
        for name, read in ways(parts, options.predecessor):
            costs[name] = measure(read, 1 if name == predecessor.NAME else rounds)
            print(f"{size:,}: {name}", file=sys.stderr)
        print(table(size, costs), flush=True)
        if options.device and size // 2 >= device_weights.PIECE:
            print(on_device(size, options.rounds), flush=True)


if __name__ == "__main__":
    main()

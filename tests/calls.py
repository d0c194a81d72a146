"""What the tests of inference share: models that are plain functions, threads that do as they are told."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any, TypeVar

from gangplank.distribution import Distribution
from gangplank.inference import TRACED, Inference
from gangplank.testing import InMemoryExporter

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")

TOTALS = (
    "gangplank_predict_total",
    "gangplank_predict_time_seconds_total",
    "gangplank_predict_call_total",
    "gangplank_predict_call_time_seconds_total",
)
IN_FLIGHT = "gangplank_predict_in_flight"
DURATION = "gangplank_predict_duration_seconds"
BATCH_SIZE = "gangplank_predict_batch_size"
ERRORS = "gangplank_predict_errors_total"
LAST = "gangplank_predict_last_timestamp_seconds"
TROUBLE = "gangplank_export_errors_total"


class Trace:
    """What a compiler passes round in place of a value."""


SIZES: Mapping[type, Callable[[Any], int | None]] = {
    list: len,
    float: len,  # a TypeError: no batch axis
    type(None): lambda _: None,  # none either
    Trace: lambda _: TRACED,
}


def has_trace(arguments: Any) -> bool:
    """Whether a stand-in is among the arguments of a call."""
    args, kwargs = arguments
    return any(isinstance(argument, Trace) for argument in (*args, *kwargs.values()))


def measured(inference: Inference, function: _F, method: str = "predict", **settings: Any) -> _F:
    """Return the function as a method of a model, measured."""
    given: dict[str, Any] = {"is_call": method == "__call__", "sizes": SIZES, "is_trace": has_trace, **settings}
    return inference.measured(function, method, **given)


def echo(batch: _T) -> _T:
    """Predict, of each sample, the sample."""
    return batch


def totals(memory: InMemoryExporter, model: str = "net") -> tuple[float | Distribution | None, ...]:
    """Return samples and seconds of predictions, and samples and seconds of calls."""
    return tuple(memory.value(name, model=model) for name in TOTALS)


def buckets(memory: InMemoryExporter, name: str, **labels: str) -> dict[float, int]:
    """Return how many observations each bucket of a histogram has of its own, those with none left out."""
    value = memory.value(name, **labels)
    if value is None:
        return {}
    assert isinstance(value, Distribution)
    counts = zip((*value.bounds, math.inf), value.cumulative, (0, *value.cumulative), strict=False)
    return {bound: count - below for bound, count, below in counts if count > below}


class Worker:
    """A thread that does one thing after another, as it is told."""

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._done: SimpleQueue[object] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def do(self, work: Callable[[], object]) -> object:
        """Have the thread do something, wait for it, and return what came of it."""
        self._work.put(work)
        return self._done.get(timeout=30)

    def end(self) -> None:
        """End the thread, and wait until it is gone."""
        self._work.put(None)
        self._thread.join(30)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            self._done.put(work())
            del work


def run_together(*works: Callable[[], object]) -> None:
    """Run each in a thread of its own, all begun at one moment, and wait for them."""
    together = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        together.wait(30)
        work()

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)

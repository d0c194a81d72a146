"""Inference: what a call of a model leaves in the numbers, and that the call itself is not touched."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from calls import (
    BATCH_SIZE,
    DURATION,
    IN_FLIGHT,
    LAST,
    TOTALS,
    TROUBLE,
    Trace,
    buckets,
    echo,
    measured,
    run_together,
    totals,
)

from gangplank import ServerStartError, Telemetry
from gangplank.distribution import Distribution
from gangplank.inference import Inference
from gangplank.state import State
from gangplank.testing import InMemoryExporter, ManualClock
from gangplank.trouble import Trouble

Slow = Callable[[list[int], float], list[int]]


@pytest.fixture
def inference(telemetry: Telemetry) -> Inference:
    """A model called net."""
    return Inference(telemetry, "net")


@pytest.fixture
def slow(clock: ManualClock) -> Slow:
    """A model that takes as long as it is told."""

    def predict(batch: list[int], seconds: float) -> list[int]:
        clock.advance(seconds)
        return batch

    return predict


def test_everything_is_there_before_the_first_call(inference: Inference, memory: InMemoryExporter) -> None:
    """At 0, so that a rate over it is right from the start; a time that was not yet is not shown."""
    measured(inference, echo)
    assert totals(memory) == (0, 0, 0, 0)
    assert memory.value(IN_FLIGHT, model="net") == 0
    for histogram in (DURATION, BATCH_SIZE):
        value = memory.value(histogram, model="net")
        assert isinstance(value, Distribution)
        assert (value.count, value.sum) == (0, 0)
    assert memory.value(LAST) is None


def test_predictions_and_calls_are_counted_apart(inference: Inference, memory: InMemoryExporter, slow: Slow) -> None:
    """Samples and seconds of each."""
    predict, call = measured(inference, slow), measured(inference, slow, "__call__")
    predict([1, 2, 3], 0.5)
    measured(inference, slow, "predict_on_batch")([1], 0.25)
    call([1, 2], 2.0)
    call([], 1.0)
    assert totals(memory) == (4, 0.75, 2, 3.0)


def test_durations_are_told_apart_by_method(inference: Inference, memory: InMemoryExporter, slow: Slow) -> None:
    """In the catalogue's buckets; a call that succeeded has no error type."""
    predict, call = measured(inference, slow), measured(inference, slow, "__call__")
    for seconds in (0.25, 0.3, 0.3):
        predict([1], seconds)
    call([1], 100.0)
    call([1], 0.0)
    assert buckets(memory, DURATION, model="net", method="predict", error_type="") == {0.25: 1, 0.5: 2}
    assert buckets(memory, DURATION, method="__call__") == {0.0005: 1, float("inf"): 1}
    value = memory.value(DURATION, method="predict")
    assert isinstance(value, Distribution)
    assert value.sum == pytest.approx(0.85)
    assert {frozenset(labels.items()) for labels, _ in memory.series(DURATION)} == {
        frozenset({("model", "net"), ("method", method), ("error_type", "")}) for method in ("predict", "__call__")
    }


def test_sizes_of_batches_are_those_of_all_methods(inference: Inference, memory: InMemoryExporter) -> None:
    """A size equal to a bound is in its bucket; their sum is the samples."""
    predict, call = measured(inference, echo), measured(inference, echo, "__call__")
    for size in (0, 1, 2, 3, 4, 70_000):
        predict([0] * size)
    call([0] * 4)
    assert buckets(memory, BATCH_SIZE, model="net") == {1: 2, 2: 1, 4: 3, float("inf"): 1}
    value = memory.value(BATCH_SIZE)
    assert isinstance(value, Distribution)
    assert value.sum == 70_014


@pytest.mark.parametrize("result", [0.5, None], ids=["a scalar", "nothing"])
def test_an_output_without_a_batch_axis(
    inference: Inference, memory: InMemoryExporter, slow: Slow, result: float | None
) -> None:
    """It took its time, and no samples are made up for it."""

    def predict() -> float | None:
        slow([], 0.5)
        return result

    assert measured(inference, predict)() is result
    assert totals(memory) == (0, 0.5, 0, 0)
    assert buckets(memory, DURATION) == {0.5: 1}
    assert buckets(memory, BATCH_SIZE) == {}


def test_a_traced_call_counts_nothing(inference: Inference, memory: InMemoryExporter, slow: Slow) -> None:
    """What a compiler passes through the model served nobody, whether it came out of it or the tracing failed."""

    def trace(value: Trace) -> Trace:
        slow([], 0.5)
        return value

    def fail(value: Trace, *, by: Trace) -> None:
        slow([], 0.5)
        raise ValueError

    stand_in = Trace()
    assert measured(inference, trace)(stand_in) is stand_in
    with pytest.raises(ValueError, match=r"^$"):
        measured(inference, fail)(stand_in, by=stand_in)
    assert totals(memory) == (0, 0, 0, 0)
    assert buckets(memory, DURATION) == {}
    assert "gangplank_predict_errors_total" not in memory.names()
    assert memory.value(IN_FLIGHT) == 0
    assert memory.value(LAST) is None


def test_a_call_is_in_flight_until_it_returns(inference: Inference, memory: InMemoryExporter) -> None:
    """Seen from inside, calls within calls included."""
    seen: list[Any] = []

    def look(deeper: int) -> list[int]:
        seen.append(memory.value(IN_FLIGHT))
        if deeper:
            call(deeper - 1)
        seen.append(memory.value(IN_FLIGHT))
        return [0]

    call = measured(inference, look, "__call__")
    measured(inference, look)(2)
    assert seen == [1, 2, 3, 3, 2, 1]
    assert memory.value(IN_FLIGHT) == 0
    assert totals(memory)[::2] == (1, 2)


def test_calls_in_flight_are_those_of_all_threads(inference: Inference, memory: InMemoryExporter) -> None:
    """Three at once are three."""
    seen: list[Any] = []
    both = threading.Barrier(2)

    def first() -> None:
        run_together(predict_last, predict_last)

    def last() -> None:
        both.wait(30)
        seen.append(memory.value(IN_FLIGHT))
        both.wait(30)

    predict_last = measured(inference, last)
    measured(inference, first)()
    assert seen == [3, 3]
    assert memory.value(IN_FLIGHT) == 0


def test_the_last_call_that_finished(
    inference: Inference, memory: InMemoryExporter, slow: Slow, clock: ManualClock
) -> None:
    """In Unix time, of whichever thread and method, and whatever came of it."""
    begun = clock.time()
    measured(inference, slow)([1], 1.5)
    assert memory.value(LAST, model="net") == begun + 1.5
    clock.advance(100)
    assert memory.value(LAST) == begun + 1.5
    run_together(lambda: measured(inference, slow, "__call__")([1], 0.25))
    assert memory.value(LAST) == begun + 101.75
    with pytest.raises(TypeError):
        measured(inference, slow)([1], None)  # type: ignore[arg-type]
    clock.advance(1)
    assert memory.value(LAST) == begun + 101.75


def test_a_call_is_not_touched(inference: Inference) -> None:
    """Arguments and result are the very objects, however they are passed."""
    seen: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    result = [object()]

    def predict(*args: Any, **kwargs: Any) -> list[object]:
        seen.append((args, kwargs))
        return result

    batch, mask = [1], object()
    call = measured(inference, predict)
    assert call(batch, self=1, cells=2, function=3, mask=mask) is result
    [(args, kwargs)] = seen
    assert args[0] is batch
    assert kwargs == {"self": 1, "cells": 2, "function": 3, "mask": mask}
    assert kwargs["mask"] is mask


def test_a_fault_of_its_own_reaches_nobody(
    inference: Inference, memory: InMemoryExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted, and logged once; the caller has the prediction."""

    def size(_: list[int]) -> int:
        raise ValueError("no size")

    call = measured(inference, echo, sizes={list: size})
    with caplog.at_level(logging.WARNING):
        assert [call([1]), call([2]), call([3])] == [[1], [2], [3]]
        assert measured(inference, echo, sizes={})([4]) == [4]
    assert memory.value(IN_FLIGHT) == 0
    assert memory.value(TROUBLE, error_type="ValueError") == 3
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        "could not measure a call: ValueError: no size",
        "could not measure a call: KeyError: <class 'list'>",
    ]


def test_calls_after_the_telemetry_was_closed(
    inference: Inference, telemetry: Telemetry, memory: InMemoryExporter
) -> None:
    """A server that still answers while it shuts down still answers, on old threads and on new ones."""
    call = measured(inference, echo)
    call([1])
    telemetry.close()
    assert call([1, 2]) == [1, 2]
    run_together(lambda: call([1]), lambda: call([1]))
    assert measured(Inference(telemetry, "late"), echo)([3]) == [3]
    assert memory.value(TOTALS[0], model="net") == 5


def test_the_first_call_starts_the_telemetry(clock: ManualClock, memory: InMemoryExporter) -> None:
    """Not the construction: a process that only loads a model opens nothing."""
    telemetry = Telemetry(exporters=[memory], clock=clock)
    call = measured(Inference(telemetry, "net"), echo)
    before = list(telemetry.handles)
    call([1])
    assert (before, list(telemetry.handles)) == ([], [memory])
    telemetry.close()


@pytest.mark.parametrize("error", [ServerStartError("taken"), RuntimeError("a fault of the exporter's")], ids=str)
def test_an_exit_that_cannot_be_started_keeps_nobody_from_predicting(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """Whatever it raises is logged, once, and the other exits show the call."""

    class Unstartable(InMemoryExporter):
        def start(self, state: State, trouble: Trouble) -> InMemoryExporter:
            raise error

    memory = InMemoryExporter()
    telemetry = Telemetry(exporters=[Unstartable(), memory])
    call = measured(Inference(telemetry, "net"), echo)
    assert call([1, 2]) == [1, 2]
    run_together(lambda: call([3]))
    assert totals(memory)[0] == 3
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        f"could not start an exporter: {type(error).__name__}: {error}"
    ]
    telemetry.close()

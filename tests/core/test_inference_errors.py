"""Calls that fail: counted, and whatever was raised goes on to the caller as it is."""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
import traceback
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from calls import BATCH_SIZE, DURATION, ERRORS, IN_FLIGHT, LAST, TROUBLE, buckets, echo, measured, totals
from opentelemetry.sdk.trace import TracerProvider

from gangplank import Telemetry
from gangplank.inference import Inference
from gangplank.testing import InMemoryExporter, ManualClock


class OutOfSamplesError(Exception):
    """A user's own error."""


@pytest.fixture(params=[False, True], ids=["", "traced"])
def telemetry(request: pytest.FixtureRequest, clock: ManualClock, memory: InMemoryExporter) -> Iterator[Telemetry]:
    """A telemetry whose time stands still; one makes spans, for those see the error too."""
    provider = TracerProvider(shutdown_on_exit=False) if request.param else None
    with Telemetry(exporters=[memory], clock=clock, tracer_provider=provider) as telemetry:
        yield telemetry


@pytest.fixture
def inference(telemetry: Telemetry) -> Inference:
    """A model called net."""
    return Inference(telemetry, "net")


def raising(error: BaseException) -> Any:
    """Return a model that raises the error, some frames down."""

    def predict(*_: Any, **__: Any) -> None:
        def deep_down() -> None:
            raise error

        deep_down()

    return predict


def test_the_exception_is_the_same_and_has_its_traceback(inference: Inference) -> None:
    """Cause, context and notes too: what was done about it inside leaves no trace on it."""
    cause, error = KeyError("cause"), OutOfSamplesError("all gone")
    error.__cause__ = cause
    error.add_note("a note")
    with pytest.raises(OutOfSamplesError) as caught:
        measured(inference, raising(error))([1])
    assert caught.value is error
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert names[-2:] == ["predict", "deep_down"]
    assert len(names) == 4  # this test, what measures, and the model's two
    assert (error.__cause__, error.__context__, error.__notes__) == (cause, None, ["a note"])
    assert error.args == ("all gone",)


@pytest.mark.parametrize(
    "error", [OutOfSamplesError(), KeyboardInterrupt(), SystemExit(3), GeneratorExit(), StopIteration()], ids=repr
)
def test_whatever_is_raised_is_counted_and_no_call_stays_in_flight(
    inference: Inference, memory: InMemoryExporter, error: BaseException
) -> None:
    """Ctrl-C in the middle of a prediction as well as the user's own errors."""
    with pytest.raises(type(error)) as caught:
        measured(inference, raising(error))([1])
    assert caught.value is error
    assert memory.value(IN_FLIGHT, model="net") == 0
    kind = type(error).__name__
    assert memory.series(ERRORS) == [({"model": "net", "method": "predict", "error_type": kind}, 1)]
    assert buckets(memory, DURATION, error_type=kind) == {0.0005: 1}


def test_a_failed_call_took_its_time_and_served_no_sample(
    inference: Inference, memory: InMemoryExporter, clock: ManualClock
) -> None:
    """Its time is in the method's total, and in the histogram under its error; the moment is that of the last call."""

    def fail(seconds: float) -> None:
        clock.advance(seconds)
        raise OutOfSamplesError

    predict, call = measured(inference, fail), measured(inference, fail, "__call__")
    measured(inference, echo)([1])
    for method, seconds in ((predict, 0.25), (predict, 2.0), (call, 0.5)):
        with pytest.raises(OutOfSamplesError):
            method(seconds)
    assert totals(memory) == (1, 2.25, 0, 0.5)
    assert buckets(memory, BATCH_SIZE) == {1: 1}
    assert buckets(memory, DURATION, method="predict", error_type="OutOfSamplesError") == {0.25: 1, 2.5: 1}
    assert buckets(memory, DURATION, method="predict", error_type="") == {0.0005: 1}
    assert memory.value(ERRORS, method="predict") == 2
    assert memory.value(ERRORS, method="__call__", error_type="OutOfSamplesError") == 1
    assert memory.value(LAST) == clock.time()


def test_an_error_that_one_call_within_another_survives(inference: Inference, memory: InMemoryExporter) -> None:
    """Only the inner call failed."""

    def retry(batch: list[int]) -> list[int]:
        with pytest.raises(OutOfSamplesError):
            call(batch)
        return batch

    call = measured(inference, raising(OutOfSamplesError()), "__call__")
    assert measured(inference, retry)([1]) == [1]
    assert [labels["method"] for labels, _ in memory.series(ERRORS)] == ["__call__"]
    assert totals(memory)[::2] == (1, 0)
    assert memory.value(IN_FLIGHT) == 0


def test_types_of_errors_are_bounded(inference: Inference, memory: InMemoryExporter) -> None:
    """Code can make types without end: those beyond the fiftieth are one, and those known before stay themselves."""
    for number in (*range(60), 3):
        kind = type(f"Made{number}Error", (Exception,), {})
        with pytest.raises(kind):
            measured(inference, raising(kind()))([1])
    counts = {labels["error_type"]: value for labels, value in memory.series(ERRORS)}
    assert counts == {f"Made{number}Error": 1 for number in range(50)} | {"Made3Error": 2, "_OTHER": 10}
    assert sum(buckets(memory, DURATION, error_type="_OTHER").values()) == 10


def test_an_error_inside_takes_no_error_of_the_users_place(
    inference: Inference, memory: InMemoryExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Arguments may be anything: to look into them can fail, and it is the model's error that the caller awaits."""

    def look(_: Any) -> bool:
        raise LookupError("no looking into these")

    error = OutOfSamplesError()
    call = measured(inference, raising(error), is_trace=look)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with pytest.raises(OutOfSamplesError) as caught:
                call([1])
            assert caught.value is error
    assert error.__context__ is None
    assert memory.value(IN_FLIGHT) == 0
    assert memory.value(TROUBLE, error_type="LookupError") in (2, 4)  # looked into for a span, and for the count
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == len(set(messages))
    assert all("LookupError" in message for message in messages)


def test_an_error_that_cannot_be_put_into_words(inference: Inference, memory: InMemoryExporter) -> None:
    """It passes, and is counted, by its type."""

    class Wordless(Exception):  # noqa: N818 - it says so
        def __str__(self) -> str:
            raise OutOfSamplesError

    with pytest.raises(Wordless):
        measured(inference, raising(Wordless()))([1])
    assert memory.value(ERRORS, error_type="Wordless") == 1
    assert memory.value(IN_FLIGHT) == 0


def test_the_error_is_let_go_of(inference: Inference) -> None:
    """Nor are the frames in its traceback kept, which have the batch in them: not even until garbage is collected."""
    errors: list[weakref.ref[OutOfSamplesError]] = []

    def fail(_: list[int]) -> None:
        errors.append(weakref.ref(error := OutOfSamplesError()))
        try:
            raise error
        finally:
            del error

    call = measured(inference, fail)
    gc.disable()
    try:
        with contextlib.suppress(OutOfSamplesError):
            call([1])
        assert errors[0]() is None
    finally:
        gc.enable()


def test_a_call_at_the_end_of_the_stack(inference: Inference, memory: InMemoryExporter) -> None:
    """Wherever in it the stack runs out, it is a RecursionError, and nothing stays in flight."""
    call = measured(inference, echo)

    def dive(depth: int) -> None:
        if depth == 0:
            call([1])
        else:
            dive(depth - 1)

    call([1])
    room = sys.getrecursionlimit()
    outcomes = set()
    for depth in range(room - 200, room):
        try:
            dive(depth)
            outcomes.add("served")
        except RecursionError:
            outcomes.add("failed")
        assert memory.value(IN_FLIGHT) == 0
    assert outcomes == {"served", "failed"}

"""Spans: one a measured call, where the process makes any, and never in the way of the call."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
from collections.abc import Callable, Iterator

import pytest
from calls import IN_FLIGHT, TROUBLE, Trace, echo, measured, totals
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracerProvider, StatusCode

from gangplank import Telemetry
from gangplank.inference import Inference
from gangplank.testing import InMemoryExporter, ManualClock


class OutOfSamplesError(Exception):
    """A user's own error."""


@pytest.fixture
def telemetry(provider: TracerProvider, clock: ManualClock, memory: InMemoryExporter) -> Iterator[Telemetry]:
    """A telemetry that makes spans."""
    with Telemetry(exporters=[memory], tracer_provider=provider, clock=clock) as telemetry:
        yield telemetry


@pytest.fixture
def inference(telemetry: Telemetry) -> Inference:
    """A model called net."""
    return Inference(telemetry, "net")


def fail(*_: object) -> None:
    """Predict nothing."""
    raise OutOfSamplesError("all gone")


def the_one(spans: InMemorySpanExporter) -> ReadableSpan:
    """Return the only finished span."""
    [span] = spans.get_finished_spans()
    return span


def context_of(span: ReadableSpan | trace.Span) -> trace.SpanContext:
    """Return a span's context."""
    context = span.get_span_context()
    assert context is not None
    return context


def test_a_call_is_a_span(inference: Inference, spans: InMemorySpanExporter) -> None:
    """By the method and the model, which are attributes too."""
    measured(inference, echo)([1])
    span = the_one(spans)
    assert span.name == "predict net"
    assert dict(span.attributes or {}) == {"gangplank.model": "net", "gangplank.method": "predict"}
    assert span.parent is None
    assert span.status.status_code is StatusCode.UNSET
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "gangplank"


def test_a_span_is_its_callers_child_and_its_callees_parent(
    inference: Inference, provider: TracerProvider, spans: InMemorySpanExporter
) -> None:
    """A request's trace shows the prediction, and a prediction's the calls and whatever the model traces itself."""
    tracer = provider.get_tracer("the host's")

    def predict(batch: list[int]) -> list[int]:
        with tracer.start_as_current_span("inside"):
            return call(batch)

    call = measured(inference, echo, "__call__")
    with tracer.start_as_current_span("request"):
        measured(inference, predict)([1])
    by_name = {span.name: span for span in spans.get_finished_spans()}
    chain = ["request", "predict net", "inside", "__call__ net"]
    assert set(by_name) == set(chain)
    for parent, child in itertools.pairwise(chain):
        assert by_name[child].parent == context_of(by_name[parent])


@pytest.mark.parametrize("function", [echo, fail])
def test_the_callers_span_is_current_again_afterwards(
    inference: Inference, provider: TracerProvider, function: Callable[[list[int]], object]
) -> None:
    """Whether the call succeeded or not."""
    with provider.get_tracer("the host's").start_as_current_span("request") as request:
        with contextlib.suppress(OutOfSamplesError):
            measured(inference, function)([1])
        assert trace.get_current_span() is request
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_an_error_is_recorded(inference: Inference, spans: InMemorySpanExporter) -> None:
    """In the span's status, as its type, and as an event with the traceback."""
    with pytest.raises(OutOfSamplesError):
        measured(inference, fail)([1])
    span = the_one(spans)
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "OutOfSamplesError: all gone"
    assert (span.attributes or {})["error.type"] == "OutOfSamplesError"
    [event] = span.events
    assert event.name == "exception"
    attributes = event.attributes or {}
    assert attributes["exception.message"] == "all gone"
    assert "in fail" in str(attributes["exception.stacktrace"])


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_call_that_was_interrupted_is_a_finished_span(
    inference: Inference, spans: InMemorySpanExporter, error: type[BaseException]
) -> None:
    """It would never be exported otherwise."""

    def interrupted(_: list[int]) -> None:
        raise error

    with pytest.raises(error):
        measured(inference, interrupted)([1])
    assert (the_one(spans).attributes or {})["error.type"] == error.__name__
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_type_of_error_is_called_the_same_in_spans_and_series(
    inference: Inference, memory: InMemoryExporter, spans: InMemorySpanExporter
) -> None:
    """From a point on a dashboard to its traces it is one label."""

    class NestedError(Exception):
        pass

    def fail_here(_: list[int]) -> None:
        raise NestedError

    with pytest.raises(NestedError):
        measured(inference, fail_here)([1])
    [(labels, _)] = memory.series("gangplank_predict_errors_total")
    assert (the_one(spans).attributes or {})["error.type"] == labels["error_type"]


def test_a_traced_call_is_no_span(inference: Inference, spans: InMemorySpanExporter) -> None:
    """What a compiler passes through the model served nobody."""
    measured(inference, echo)(Trace())
    with pytest.raises(OutOfSamplesError):
        measured(inference, fail)(Trace())
    assert spans.get_finished_spans() == ()


def test_a_trace_that_is_seen_late_is_no_span(inference: Inference, spans: InMemorySpanExporter) -> None:
    """A span that was begun is dropped, and the one before it current again."""
    looks = iter([False, True])
    with pytest.raises(OutOfSamplesError):
        measured(inference, fail, is_trace=lambda _: next(looks))([1])
    assert spans.get_finished_spans() == ()
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_provider_that_makes_none(memory: InMemoryExporter, clock: ManualClock, spans: InMemorySpanExporter) -> None:
    """As good as no provider, and none is asked of the process in its place."""
    with Telemetry(exporters=[memory], tracer_provider=NoOpTracerProvider(), clock=clock) as telemetry:
        measured(Inference(telemetry, "net"), echo)([1])
        assert telemetry.tracing.tracer is None
    assert totals(memory)[0] == 1
    assert spans.get_finished_spans() == ()


class Broken(SpanProcessor):
    """A processor that raises where it is told to."""

    def __init__(self, where: str) -> None:
        self.where = where

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Raise, perhaps."""
        self._raise("on_start")

    def on_end(self, span: ReadableSpan) -> None:
        """Raise, perhaps."""
        self._raise("on_end")

    def _raise(self, where: str) -> None:
        if where == self.where:
            raise LookupError(where)


@pytest.mark.parametrize("where", ["on_start", "on_end"])
def test_a_processor_that_raises_breaks_no_call(
    inference: Inference, provider: TracerProvider, memory: InMemoryExporter, where: str
) -> None:
    """The result is the result and the error the error; both are counted, and so is the trouble."""
    provider.add_span_processor(Broken(where))
    assert measured(inference, echo)([1, 2]) == [1, 2]
    with pytest.raises(OutOfSamplesError) as caught:
        measured(inference, fail)([1])
    assert caught.value.__context__ is None
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert totals(memory)[0] == 2
    assert memory.value("gangplank_predict_errors_total", error_type="OutOfSamplesError") == 1
    assert memory.value(IN_FLIGHT) == 0
    assert memory.value(TROUBLE, error_type="LookupError") == 2


PRELUDE = """
from opentelemetry import trace
from gangplank import Telemetry
from gangplank.inference import Inference
from gangplank.testing import InMemoryExporter, ManualClock

clock, memory = ManualClock(), InMemoryExporter()
telemetry = Telemetry(exporters=[memory], clock=clock)

def measured(function, telemetry=telemetry):
    settings = {"is_call": False, "sizes": {list: len}, "is_trace": lambda _: False}
    return Inference(telemetry, "net").measured(function, "predict", **settings)
"""


def test_a_provider_that_is_set_late_is_noticed(script: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Servers load their models first; until then no span costs anything, and no SDK is imported."""
    process = script(
        PRELUDE
        + """
import sys
seen = []
def model(batch):
    seen.append(trace.get_current_span().get_span_context().is_valid)
    return batch

call = measured(model)
call([1])
print("opentelemetry.sdk" in sys.modules)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
clock.advance(1)
call([1])
call([1])
print(seen, [span.name for span in spans.get_finished_spans()])
"""
    )
    assert (process.stdout, process.stderr) == ("False\n[False, True, True] ['predict net', 'predict net']\n", "")


def test_a_provider_that_cannot_be_loaded_breaks_no_call(
    script: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """A typing error in the environment is not found out by whoever predicts."""
    process = script(
        """
        import os
        os.environ["OTEL_PYTHON_TRACER_PROVIDER"] = "nonsense"
        """.replace("        ", "")
        + PRELUDE
        + """
call = measured(lambda batch: batch)
for _ in range(3):
    clock.advance(1)
    assert call([1, 2]) == [1, 2]
print(memory.value("gangplank_predict_total"))
"""
    )
    assert process.stdout == "6\n", process.stderr
    assert process.stderr.count("could not look for a TracerProvider") == 1

"""A fit and an evaluation as traces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import pytest
from keras_suite import data, regression
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from traces import named, tree

from gangplank import Telemetry, TelemetryCallback, TelemetryModel
from gangplank.testing import InMemoryExporter


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """Where finished spans are."""
    return InMemorySpanExporter()


@pytest.fixture
def telemetry(spans: InMemorySpanExporter) -> Iterator[Telemetry]:
    """A telemetry that traces."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with Telemetry(exporters=[InMemoryExporter()], tracer_provider=provider) as telemetry:
        yield telemetry


def test_a_fit_with_validation(telemetry: Telemetry, spans: InMemorySpanExporter) -> None:
    """Two epochs of three steps: no span is of a batch."""
    x, y = data()
    callback = TelemetryCallback(telemetry)
    model = regression()
    model.fit(x, y, batch_size=8, epochs=2, verbose=0, validation_split=0.25, callbacks=[callback])
    model.evaluate(x, y, verbose=0, callbacks=[callback])
    assert tree(spans) == [
        ("fit net", None),
        ("epoch", "fit net"),
        ("validation", "epoch"),
        ("epoch", "fit net"),
        ("validation", "epoch"),
        ("evaluate net", None),
    ]
    epochs = [span for span in spans.get_finished_spans() if span.name == "epoch"]
    assert [(span.attributes or {})["gangplank.epoch"] for span in epochs] == [1, 2]
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_resumed_fit(telemetry: Telemetry, spans: InMemorySpanExporter) -> None:
    """Epochs have the numbers that Keras shows."""
    x, y = data()
    regression().fit(x, y, initial_epoch=4, epochs=5, verbose=0, callbacks=[TelemetryCallback(telemetry)])
    assert (named(spans, "epoch").attributes or {})["gangplank.epoch"] == 5


def test_what_other_callbacks_do(telemetry: Telemetry, spans: InMemorySpanExporter) -> None:
    """Predictions and evaluations in the middle of a fit are in its trace."""
    x, y = data()
    model = regression()
    proxy = TelemetryModel(model, telemetry)

    class Looks(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            proxy.predict(x, verbose=0)
            model.evaluate(x, y, verbose=0, callbacks=[callback])

    callback = TelemetryCallback(telemetry)
    model.fit(x, y, verbose=0, callbacks=[Looks(), callback])
    assert tree(spans) == [
        ("fit net", None),
        ("epoch", "fit net"),
        ("predict net", "epoch"),
        ("evaluate net", "epoch"),
    ]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_fit_that_is_left(telemetry: Telemetry, spans: InMemorySpanExporter, error: type[BaseException]) -> None:
    """Keras tells no callback; the spans are ended all the same, with the error."""
    x, y = data()

    class Fails(keras.callbacks.Callback):
        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            raise error

    with pytest.raises(error):
        regression().fit(x, y, verbose=0, validation_split=0.25, callbacks=[TelemetryCallback(telemetry), Fails()])
    assert [name for name, _ in tree(spans)] == ["fit net", "epoch", "validation"]
    assert {span.status.status_code for span in spans.get_finished_spans()} == {StatusCode.ERROR}
    outcome = "failed" if issubclass(error, Exception) else "interrupted"
    assert (named(spans, "fit net").attributes or {})["gangplank.outcome"] == outcome
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_fit_that_fails_before_it_begins(telemetry: Telemetry, spans: InMemorySpanExporter) -> None:
    """Is a trace of one span."""
    x, _ = data()
    with pytest.raises(ValueError, match="cardinality"):
        regression().fit(x, x[:-1], verbose=0, callbacks=[TelemetryCallback(telemetry)])
    fit = named(spans, "fit net")
    assert (fit.status.status_code, (fit.attributes or {})["gangplank.outcome"]) == (StatusCode.ERROR, "failed")

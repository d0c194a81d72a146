"""What predicts, called as Keras lets one call it: what it returns is the model's, and every call is counted once."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import pytest
from inference_suite import SAMPLES, Seen, array, dense, samples, variables
from keras_suite import At

from gangplank import Telemetry, TelemetryModel
from gangplank.catalogue import INFERENCE
from gangplank.testing import InMemoryExporter, ManualClock

METHODS = ("predict", "predict_on_batch", "call", "stateless_call")


@pytest.mark.parametrize("method", METHODS)
def test_signatures_are_those_of_the_model(method: str, telemetry: Telemetry) -> None:
    """Parameters, defaults, name and documentation: editors and ``help`` see the model's."""
    model = dense()
    proxy = TelemetryModel(model, telemetry)
    theirs, ours = getattr(model, method), getattr(proxy, method)
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert (ours.__name__, ours.__qualname__, ours.__doc__) == (theirs.__name__, theirs.__qualname__, theirs.__doc__)
    assert inspect.signature(proxy) == inspect.signature(model)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), {}),
        ((4,), {}),
        ((4, 0), {}),
        ((4, 0, 2), {}),
        ((4, 0, 2, []), {}),
        ((), {"batch_size": 4, "verbose": 0}),
        ((), {"batch_size": 4, "verbose": 0, "steps": 2, "callbacks": []}),
        ((None, "auto", None, None), {}),
    ],
)
def test_predict_takes_its_arguments_by_place_and_by_name(
    arguments: tuple[Any, ...], named: dict[str, Any], telemetry: Telemetry, seen: Seen
) -> None:
    """However ``predict`` is called, it returns what the model's returns, and the call counts its samples."""
    model, x = dense(), samples()
    proxy = TelemetryModel(model, telemetry)
    expected = model.predict(x, *arguments, **named)
    np.testing.assert_array_equal(proxy.predict(x, *arguments, **named), expected)
    assert (seen.predicted, seen.called, seen.calls) == (len(expected), 0, {"predict": 1})
    if not arguments:
        np.testing.assert_array_equal(proxy.predict(x=x, **named), expected)
        assert seen.predicted == 2 * len(expected)


def test_steps_end_a_prediction_early(telemetry: Telemetry, seen: Seen) -> None:
    """With ``steps``, what was predicted is counted, and not what was given."""
    predicted = TelemetryModel(dense(), telemetry).predict(samples(40), batch_size=8, steps=2, verbose=0)
    assert len(predicted) == seen.predicted == seen.batches.sum == 16


@pytest.mark.parametrize("verbose", [0, 1, 2, "auto"])
def test_what_predict_prints_is_the_models(
    verbose: Any, telemetry: Telemetry, capsys: pytest.CaptureFixture[str]
) -> None:
    """A progress bar where the model has one, and silence where it has none."""
    proxy = TelemetryModel(dense(), telemetry)
    proxy.predict(samples(), verbose=verbose)
    assert bool(capsys.readouterr().out) is (verbose != 0)


def test_callbacks_of_predict(telemetry: Telemetry, seen: Seen) -> None:
    """They are called, see the model itself, and find one call in flight."""
    model = dense()
    flights: list[float] = []
    hooks = ("on_predict_begin", "on_predict_batch_end", "on_predict_end")
    callbacks = [At(hook, lambda: flights.append(seen.in_flight)) for hook in hooks]
    TelemetryModel(model, telemetry).predict(samples(), batch_size=4, verbose=0, callbacks=callbacks)
    assert flights == [1] * 4
    assert all(callback.model is model for callback in callbacks)
    assert seen.in_flight == 0


def test_predict_on_batch(telemetry: Telemetry, seen: Seen) -> None:
    """It is a prediction like ``predict``, by place and by name."""
    model, x = dense(), samples()
    proxy = TelemetryModel(model, telemetry)
    expected = model.predict_on_batch(x)
    np.testing.assert_array_equal(proxy.predict_on_batch(x), expected)
    np.testing.assert_array_equal(proxy.predict_on_batch(x=x), expected)
    assert (seen.predicted, seen.called, seen.calls) == (2 * SAMPLES, 0, {"predict_on_batch": 2})


def test_calling_the_model(telemetry: Telemetry, seen: Seen) -> None:
    """``model(x)``, ``call`` and ``stateless_call`` are calls: the outputs are the model's, of the model's type."""
    model, x = dense(), keras.ops.convert_to_tensor(samples())
    proxy = TelemetryModel(model, telemetry)
    expected = model(x)
    outputs = [
        proxy(x),
        proxy(x, training=False),
        proxy.call(x),
        proxy.call(inputs=x, training=False),
        proxy.stateless_call(*variables(model), x)[0],
        proxy.stateless_call(*variables(model), x, training=False)[0],
    ]
    for output in outputs:
        assert type(output) is type(expected)
        np.testing.assert_array_equal(array(output), array(expected))
    assert (seen.predicted, seen.called) == (0, 6 * SAMPLES)
    assert seen.calls == {"__call__": 2, "call": 2, "stateless_call": 2}


def test_stateless_call_returns_the_losses_that_are_asked_for(telemetry: Telemetry, seen: Seen) -> None:
    """Outputs, variables and losses, as from the model; its outputs are the ones that are counted."""
    layer = keras.layers.Dense(2, kernel_regularizer="l2")
    model = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization(), layer], name="net")
    proxy = TelemetryModel(model, telemetry)
    outputs, others, losses = proxy.stateless_call(*variables(model), samples(), return_losses=True)
    assert tuple(outputs.shape) == (SAMPLES, 2)
    assert len(others) == len(model.non_trainable_variables)
    assert len(losses) == 1
    assert (seen.called, seen.batches.sum) == (SAMPLES, SAMPLES)


def test_every_row_that_a_prediction_has(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """A prediction and a call give all rows of the catalogue, but for errors and drift, of which there were none."""
    proxy = TelemetryModel(dense(), telemetry)
    proxy.predict(samples(), verbose=0)
    proxy(samples())
    rows = {row.prometheus_name for row in INFERENCE}
    without = {name for name in rows if "_drift_" in name or name.endswith("_errors_total")}
    assert exporter.names() & rows == rows - without


def test_time_is_that_of_the_call(exporter: InMemoryExporter) -> None:
    """The counters of seconds, the histogram and the time stamp tell the same, to the digit."""
    clock = ManualClock()
    with Telemetry(exporters=[exporter], clock=clock) as telemetry:
        seen = Seen(exporter)
        proxy = TelemetryModel(dense(), telemetry)
        proxy.predict(samples(), verbose=0, callbacks=[At("on_predict_begin", lambda: clock.advance(0.25))])
        proxy.predict_on_batch(samples())
        assert seen.seconds == (0.25, 0)
        duration = exporter.value("gangplank_predict_duration_seconds", method="predict")
        assert getattr(duration, "sum", None) == 0.25
        assert exporter.value("gangplank_predict_last_timestamp_seconds") == clock.time()


def test_names_are_there_at_0_before_the_first_call(telemetry: Telemetry, seen: Seen) -> None:
    """A dashboard has its lines, and ``rate`` its first point, from the moment the model is wrapped."""
    proxy = TelemetryModel(dense(), telemetry)
    assert seen.nothing
    assert proxy.telemetry is telemetry


def test_training_and_evaluating_are_no_inference(telemetry: Telemetry, seen: Seen) -> None:
    """What Keras calls by itself, on its way to a loss, serves nobody."""
    model, x = dense(), samples()
    proxy = TelemetryModel(model, telemetry)
    proxy.compile("sgd", "mse")
    proxy.evaluate(x, x[:, :2], verbose=0)
    proxy.test_on_batch(x, x[:, :2])
    assert seen.nothing

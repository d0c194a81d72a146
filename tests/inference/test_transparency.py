"""To all but its predictions a proxy is the model: attributes, operators, Keras's other methods, and ``isinstance``."""

from __future__ import annotations

import gc
import inspect
import weakref
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
from inference_suite import SAMPLES, Array, Seen, array, dense, samples, trains
from keras_suite import data, regression

from gangplank import Drift, Telemetry, TelemetryCallback, TelemetryModel
from gangplank.testing import InMemoryExporter


class Own(keras.Model):
    """A model with a ``predict`` and a ``__call__`` of its own, that is a sequence of its layers besides."""

    def __init__(self) -> None:
        super().__init__(name="net")
        self.dense = keras.layers.Dense(2)

    def call(self, inputs: Any) -> Any:
        """Call the layer."""
        return self.dense(inputs)

    def __call__(self, inputs: Any, scale: float = 1.0, *, shift: float = 0.0) -> Any:
        """Call the model, and scale what it gives."""
        return super().__call__(inputs) * scale + shift

    def predict(self, images: Any, threshold: float = 0.5, *, labels: tuple[str, ...] = ("no", "yes")) -> list[str]:
        """Return a label for each image."""
        scores = super().predict(images, verbose=0)[:, 0]
        return [labels[int(score > threshold)] for score in scores]

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.layers)

    def __getitem__(self, index: int) -> Any:
        return self.layers[index]

    def __contains__(self, layer: Any) -> bool:
        return layer in self.layers


def test_a_model_that_overrides_what_predicts(telemetry: Telemetry, seen: Seen) -> None:
    """Its own parameters arrive, by place and by name; a ``predict`` inside its own is not counted again."""
    model, x = Own(), samples()
    proxy = TelemetryModel(model, telemetry)
    expected = array(model(x, 2.0, shift=1.0))
    np.testing.assert_array_equal(array(proxy(x, 2.0, shift=1.0)), expected)
    np.testing.assert_array_equal(array(proxy(inputs=x, scale=2.0, shift=1.0)), expected)
    assert proxy.predict(x, 1e9) == ["no"] * SAMPLES
    assert proxy.predict(images=x, threshold=-1e9, labels=("cat", "dog")) == ["dog"] * SAMPLES
    assert seen.calls == {"__call__": 2, "predict": 2}
    assert seen.called == 2 * SAMPLES
    assert inspect.signature(proxy) == inspect.signature(model)
    assert inspect.signature(proxy.predict) == inspect.signature(model.predict)


def test_a_model_that_is_a_sequence(telemetry: Telemetry) -> None:
    """Length, iteration, indexing and ``in`` are the model's where it has them."""
    model = Own()
    proxy = TelemetryModel(model, telemetry)
    assert len(proxy) == len(model) == 1
    assert list(proxy) == list(model) == model.layers
    assert proxy[0] is model.dense
    assert model.dense in proxy
    assert 3 not in proxy


def test_a_model_that_is_none(telemetry: Telemetry) -> None:
    """Where the model has no length and cannot be iterated, neither can the proxy; it is true all the same."""
    proxy = TelemetryModel(dense(), telemetry)
    with pytest.raises(TypeError):
        len(proxy)
    with pytest.raises(TypeError):
        iter(proxy)
    assert bool(proxy) is True


def test_attributes_are_the_models(telemetry: Telemetry) -> None:
    """What is read, written and deleted on the proxy is on the model."""
    model = dense()
    proxy = TelemetryModel(model, telemetry)
    assert proxy.name == "net"
    assert proxy.layers == model.layers
    assert proxy.weights[0] is model.weights[0]
    proxy.trainable = False
    assert model.trainable is False
    assert model.trainable_weights == []
    proxy.note = "kept"
    assert model.note == "kept"
    del proxy.note
    assert not hasattr(model, "note")
    with pytest.raises(AttributeError, match="'Sequential' object has no attribute 'nonsense'"):
        _ = proxy.nonsense
    with pytest.raises(AttributeError, match="'Sequential' object has no attribute 'nonsense'"):
        del proxy.nonsense


@pytest.mark.parametrize("method", ["predict", "predict_on_batch", "call"])
def test_a_method_that_is_replaced(method: str, telemetry: Telemetry, seen: Seen) -> None:
    """``proxy.predict = f`` replaces the model's, as any write does, and what replaced it is measured."""
    model = dense()
    proxy = TelemetryModel(model, telemetry)
    getattr(proxy, method)(samples())
    setattr(proxy, method, lambda x: x[:3])
    assert len(getattr(model, method)(samples())) == 3
    assert len(getattr(proxy, method)(samples())) == 3
    assert seen.calls == {method: 2}
    delattr(proxy, method)
    assert len(getattr(model, method)(samples())) == len(getattr(proxy, method)(samples())) == SAMPLES


def test_operators_and_words(telemetry: Telemetry) -> None:
    """Equality, hash, ``dir`` and ``str`` are the model's; ``repr`` says what it is."""
    model = dense()
    proxy = TelemetryModel(model, telemetry)
    assert proxy == model
    assert model == proxy
    assert not proxy != model  # noqa: SIM202 - the operator is the point
    assert proxy != dense()
    assert hash(proxy) == hash(model)
    assert {model: 1}[proxy] == 1
    assert set(dir(model)) <= set(dir(proxy))
    assert str(proxy) == str(model)
    assert repr(proxy) == f"<TelemetryModel of {model!r}>"


def test_it_is_a_keras_model_and_knows_the_model(telemetry: Telemetry) -> None:
    """``isinstance`` says what it says of the model; ``proxy.model`` is the model itself."""
    model = dense()
    proxy = TelemetryModel(model, telemetry)
    for kind in (keras.Model, keras.Sequential, keras.layers.Layer, TelemetryModel):
        assert isinstance(proxy, kind)
    assert not isinstance(proxy, keras.Functional if hasattr(keras, "Functional") else Own)
    assert proxy.model is model
    assert proxy.__class__ is keras.Sequential


def test_a_model_without_predict(telemetry: Telemetry, seen: Seen) -> None:
    """A layer or a function can be called, and has no more methods than it has."""
    layer = keras.layers.Dense(2, name="net")
    proxy = TelemetryModel(layer, telemetry)
    proxy(samples())
    assert seen.called == SAMPLES
    assert not hasattr(proxy, "predict")
    with pytest.raises(AttributeError, match="'Dense' object has no attribute 'predict'"):
        _ = proxy.predict


def test_compile_evaluate_summary_and_weights(telemetry: Telemetry, capsys: pytest.CaptureFixture[str]) -> None:
    """Keras's other methods do to the model what they do."""
    model, (x, y) = dense(), data()
    proxy = TelemetryModel(model, telemetry)
    proxy.compile(loss="mse", metrics=["mae"])
    assert model.loss == "mse"
    assert proxy.evaluate(x, x[:, :2], verbose=0) == model.evaluate(x, x[:, :2], verbose=0)
    proxy.summary()
    assert 'Model: "net"' in capsys.readouterr().out
    weights = proxy.get_weights()
    proxy.set_weights([weight * 0 for weight in weights])
    assert not np.any(model.get_weights()[0])
    assert proxy.count_params() == model.count_params() == 8
    assert proxy.to_json() == model.to_json()
    assert y is not None


@trains
def test_training_through_the_proxy(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """``fit`` trains the model; a TelemetryCallback counts the run once, and no inference."""
    model, (x, y) = regression(), data()
    before: list[Array] = model.get_weights()
    proxy, callback = TelemetryModel(model, telemetry), TelemetryCallback(telemetry)
    seen = Seen(exporter)
    history = proxy.fit(x, y, batch_size=8, epochs=2, validation_data=(x, y), verbose=0, callbacks=[callback])
    assert np.any(before[0] != model.get_weights()[0])
    assert exporter.value("gangplank_train_steps_total", model="net") == 8
    assert exporter.value("gangplank_train_epochs_count", model="net") == 2
    assert exporter.value("gangplank_train_loss") == pytest.approx(history.history["loss"][-1])
    assert exporter.value("gangplank_train_outcome", outcome="success") == 1
    assert seen.nothing


def test_a_callback_in_evaluate_and_predict(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """An evaluation is one evaluation, and a prediction one prediction, with the callback as without."""
    model, (x, y) = regression(), data()
    proxy, callback = TelemetryModel(model, telemetry), TelemetryCallback(telemetry)
    seen = Seen(exporter)
    proxy.evaluate(x, y, verbose=0, callbacks=[callback])
    assert exporter.value("gangplank_test_outcome", outcome="success") == 1
    assert seen.nothing
    proxy.predict(x, verbose=0, callbacks=[callback])
    assert (seen.predicted, seen.called, seen.calls) == (len(x), 0, {"predict": 1})
    assert exporter.value("gangplank_test_outcome", outcome="success") == 1


def test_a_proxy_of_a_proxy(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Each counts for itself: under two names in one telemetry, and once in each of two."""
    inner = TelemetryModel(dense(), telemetry)
    outer = TelemetryModel(inner, telemetry)
    elsewhere = InMemoryExporter()
    with Telemetry(exporters=[elsewhere]) as other:
        outermost = TelemetryModel(outer, other)
        x = samples()
        np.testing.assert_array_equal(outermost.predict(x, verbose=0), inner.model.predict(x, verbose=0))
        outermost(x)
        for seen in (Seen(exporter, "net"), Seen(exporter, "net_2"), Seen(elsewhere, "net")):
            assert (seen.predicted, seen.called, seen.in_flight) == (SAMPLES, SAMPLES, 0)
    assert isinstance(outermost, keras.Model)
    assert outermost.name == "net"


def test_a_proxy_keeps_no_model_alive(telemetry: Telemetry) -> None:
    """A proxy that goes takes the model with it, drift function or not."""
    model = dense()
    proxy = TelemetryModel(model, telemetry, get_drift_metrics_func=lambda _x, _y: Drift())
    proxy(samples())
    proxy.predict_on_batch(samples())
    telemetry.flush()
    gone = weakref.ref(model)
    del model, proxy
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"model": 3}, TypeError, "model must be a Keras model, not 3"),
        ({"model": keras.Sequential}, TypeError, "model must be a Keras model"),
        ({"telemetry": "x"}, TypeError, "telemetry must be a gangplank.Telemetry, not 'x'"),
        ({"name": 3}, TypeError, "name must be a string, not 3"),
        ({"name": " "}, ValueError, "name must not be empty"),
        ({"get_drift_metrics_func": 3}, TypeError, "get_drift_metrics_func must be callable, not 3"),
        ({"drift_inline": 1}, TypeError, "drift_inline must be True or False, not 1"),
    ],
)
def test_wrong_arguments(
    arguments: dict[str, Any], kind: type[Exception], words: str, telemetry: Telemetry, exporter: InMemoryExporter
) -> None:
    """They raise where they are given, in a message that names the argument, and leave no name behind."""
    with pytest.raises(kind, match=words):
        TelemetryModel(**{"model": dense(), "telemetry": telemetry, **arguments})
    assert exporter.series("gangplank_predict_total") == []

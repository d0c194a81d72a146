"""Keras instrumented: every call of every model is seen, once, and Keras is what it was afterwards."""

from __future__ import annotations

import gc
import inspect
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from keras_suite import At, data, raising, regression
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from seen import Seen

from gangplank import ConfigurationError, KerasInstrumentor, Telemetry, TelemetryCallback, TelemetryModel, Weights
from gangplank.testing import InMemoryExporter
from gangplank_keras.settings import resolve

METHODS = ("fit", "evaluate", "predict", "predict_on_batch", "__call__")


@pytest.fixture
def instrumentor() -> Iterator[KerasInstrumentor]:
    """The instrumentor, which a test may leave as it likes."""
    instrumentor = KerasInstrumentor()
    yield instrumentor
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


@pytest.fixture
def seen(instrumentor: KerasInstrumentor) -> Iterator[Seen]:
    """Keras, instrumented."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    instrumentor.instrument(meter_provider=provider)
    yield Seen(reader)
    provider.shutdown()


def inner(name: str) -> list[object]:
    """Return the function of that name, and those that it is made around."""
    function: Any = getattr(keras.Model, name)
    found = [function]
    while cells := [one.cell_contents for one in function.__closure__ or () if inspect.isfunction(one.cell_contents)]:
        function = cells[0]
        found.append(function)
    return found


def test_keras_is_itself_again(instrumentor: KerasInstrumentor) -> None:
    """The very same function objects, outside and inside, and no attribute more."""
    before = {name: inner(name) for name in METHODS}
    attributes = {base: set(vars(base)) for base in keras.Model.__mro__}
    instrumentor.instrument()
    assert keras.Model.fit is before["fit"][0]
    assert {name: inner(name) for name in METHODS} != before
    instrumentor.uninstrument()
    for name in METHODS:
        assert all(after is was for after, was in zip(inner(name), before[name], strict=True))
    assert {base: set(vars(base)) for base in keras.Model.__mro__} == attributes


def test_two_are_one(instrumentor: KerasInstrumentor, seen: Seen) -> None:
    """It is one in a process, and says so when it is asked twice."""
    before = {name: inner(name) for name in METHODS}
    assert KerasInstrumentor() is instrumentor
    KerasInstrumentor().instrument()
    assert {name: inner(name) for name in METHODS} == before
    regression().predict(data()[0], verbose=0)
    assert seen.value("gangplank_predict") == 32


def sequential() -> Any:
    """Return a sequential model."""
    return regression()


def functional() -> Any:
    """Return a functional model."""
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Dense(4)(inputs)), name="net")
    model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    return model


class Subclassed(keras.Model):
    """A subclass with a step of its own."""

    def __init__(self) -> None:
        super().__init__(name="net")
        self.dense = keras.layers.Dense(1)

    def call(self, x: Any) -> Any:
        """Predict."""
        return self.dense(x)

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        """Train, as the class before."""
        return super().train_step(*args, **kwargs)


def subclassed() -> Any:
    """Return a subclassed model."""
    model = Subclassed()
    model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    return model


def cloned() -> Any:
    """Return a clone."""
    model = keras.models.clone_model(regression())
    model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    return model


@pytest.mark.parametrize("make", [sequential, functional, subclassed, cloned])
def test_every_kind_of_model(seen: Seen, make: Callable[[], Any]) -> None:
    """Trained, evaluated, and used in each way."""
    x, y = data()
    model = make()
    model.fit(x, y, batch_size=8, epochs=2, verbose=0, validation_split=0.25)
    assert seen.value("gangplank_train_epochs_count", model="net") == 2
    assert seen.value("gangplank_train_steps", model="net") == 6
    assert seen.value("gangplank_train_val_mae", model="net") is not None
    assert seen.value("gangplank_train_outcome", outcome="success") == 1
    assert seen.value("gangplank_test_loss") is None
    assert not seen.value("gangplank_predict_call")
    model.evaluate(x, y, verbose=0)
    assert seen.value("gangplank_test_loss", model="net") == pytest.approx(model.evaluate(x, y, verbose=0)[0])
    model.predict(x, verbose=0)
    model.predict_on_batch(x[:8])
    model(x[:4])
    assert seen.value("gangplank_predict", model="net") == 40
    assert seen.value("gangplank_predict_call", model="net") == 4
    assert seen.value("gangplank_predict_duration", method="predict") == 1


def test_the_callers_callbacks_are_not_touched(seen: Seen) -> None:
    """Neither a list, nor a single one, nor a ``CallbackList``; and all of them are called."""
    x, y = data()
    calls: list[str] = []
    model = regression()
    for kind in ("list", "one", "CallbackList"):
        one = At("on_train_end", lambda kind=kind: calls.append(kind))  # type: ignore[misc]
        given: Any = {"list": [one], "one": one}.get(kind) or keras.callbacks.CallbackList(
            [one], add_history=True, model=model, epochs=1
        )
        held = list(given.callbacks) if kind == "CallbackList" else [one]
        history = model.fit(x, y, verbose=0, callbacks=given)
        assert kind == "CallbackList" or isinstance(history, keras.callbacks.History)
        assert (given.callbacks if kind == "CallbackList" else given if kind == "list" else [given]) == held
    assert calls == ["list", "one", "CallbackList"]
    assert seen.value("gangplank_train_steps") == 3
    model.fit(x, y, None, 1, 0, None)  # by position
    assert seen.value("gangplank_train_steps") == 4


def test_what_a_callback_of_ours_reports_is_left_to_it(seen: Seen) -> None:
    """Also validation inside of its fit."""
    x, y = data()
    memory = InMemoryExporter()
    with Telemetry(exporters=[memory]) as telemetry:
        callback = TelemetryCallback(telemetry)
        regression().fit(x, y, verbose=0, validation_split=0.25, callbacks=[callback])
        regression().evaluate(x, y, verbose=0, callbacks=callback)
        assert memory.value("gangplank_train_epochs_count") == 1
        assert memory.value("gangplank_test_loss") is not None
    assert seen.value("gangplank_train_steps") is None
    assert seen.value("gangplank_test_outcome") is None


def test_what_a_proxy_reports_is_left_to_it(seen: Seen) -> None:
    """For as long as there is one."""
    x, _ = data()
    memory = InMemoryExporter()
    model = regression()
    with Telemetry(exporters=[memory]) as telemetry:
        proxy = TelemetryModel(model, telemetry)
        proxy.predict(x, verbose=0)
        proxy.predict_on_batch(x)
        proxy(x)
        assert memory.value("gangplank_predict_total") == 64
        assert memory.value("gangplank_predict_call_total") == 32
        assert seen.value("gangplank_predict") is None
        assert seen.value("gangplank_predict_call") is None
        del proxy
        model.predict(x, verbose=0)
    assert seen.value("gangplank_predict") == 32


def test_calls_inside_of_calls(seen: Seen) -> None:
    """A prediction in a callback is one, an evaluation there too; a model in a model is not."""
    x, y = data()
    part = regression(name="part")
    model = keras.Sequential([keras.Input((3,)), part], name="net")
    model.compile(optimizer="sgd", loss="mse")
    looks = At("on_epoch_end", lambda: (model.predict(x, verbose=0), model.evaluate(x, y, verbose=0)))
    model.fit(x, y, epochs=2, verbose=0, validation_split=0.25, callbacks=[looks])
    assert seen.value("gangplank_predict", model="net") == 64
    assert seen.value("gangplank_test_outcome", model="net", outcome="success") == 1
    assert seen.value("gangplank_train_epochs_count", model="net") == 2
    model(x)
    assert seen.value("gangplank_predict_call", model="net") == 32
    assert not seen.value("gangplank_predict_call", model="part")
    part(x)
    assert seen.value("gangplank_predict_call", model="part") == 32


class Eager(Subclassed):
    """A model whose steps call it as they are written."""

    def call(self, x: Any) -> Any:
        """Predict, and know nothing of training."""
        return self.dense(x)


def test_steps_by_hand_are_no_predictions(seen: Seen) -> None:
    """Though they call the model, and on some backends in front of our eyes."""
    x, y = data()
    model = Eager()
    model.compile(optimizer="sgd", loss="mse", run_eagerly=True)
    model.train_on_batch(x, y)
    model.test_on_batch(x, y)
    assert not seen.value("gangplank_predict_call")
    model(x)
    assert seen.value("gangplank_predict_call") == 32


def test_another_tool_that_wraps_what_we_wrapped(instrumentor: KerasInstrumentor, seen: Seen) -> None:
    """Keeps our function, which is then inert; and Keras is instrumented once when it is again."""
    x, _ = data()
    model = regression()
    ours: Any = keras.Model.__call__

    def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
        return ours(self, *args, **kwargs)

    keras.Model.__call__ = theirs
    try:
        model(x)
        instrumentor.uninstrument()
        model(x)
        assert seen.value("gangplank_predict_call") == 32
        reader = InMemoryMetricReader()
        instrumentor.instrument(meter_provider=MeterProvider([reader], shutdown_on_exit=False))
        model(x)
        assert Seen(reader).value("gangplank_predict_call") == 32
        instrumentor.uninstrument()
    finally:
        del keras.Model.__call__


def test_methods_that_another_tool_has_replaced_with_anything(
    instrumentor: KerasInstrumentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that does not say what it takes."""
    x, y = data()
    trainer = next(base for base in keras.Model.__mro__ if "fit" in vars(base))
    fit: Any = vars(trainer)["fit"]

    def theirs(*args: Any, **kwargs: Any) -> Any:
        return fit(*args, **kwargs)

    monkeypatch.setattr(trainer, "fit", theirs)
    reader = InMemoryMetricReader()
    instrumentor.instrument(meter_provider=MeterProvider([reader], shutdown_on_exit=False))
    regression().fit(x, y, verbose=0)
    assert Seen(reader).value("gangplank_train_epochs_count") == 1
    instrumentor.uninstrument()


def test_an_exception_that_is_kept(instrumentor: KerasInstrumentor) -> None:
    """As notebooks keep the last one, with all that is in its frames: Keras is itself again all the same."""
    before = {name: inner(name) for name in METHODS}
    instrumentor.instrument()
    kept: list[BaseException] = []
    try:
        regression().fit(*data(), verbose=0, callbacks=[At("on_epoch_end", raising(RuntimeError("no")))])
    except RuntimeError as error:
        kept.append(error)
    instrumentor.uninstrument()
    assert kept
    assert {name: inner(name) for name in METHODS} == before


def test_models_without_end(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Are told apart up to a bound, and are gone when nobody has them."""
    monkeypatch.setattr("gangplank_keras.instrumentation._MOST_MODELS", 3)
    models = []
    for number in range(6):
        model = regression(name=f"net_{number}")
        model(data()[0])
        models.append(weakref.ref(model))
    del model
    gc.collect()
    assert [one() for one in models] == [None] * 6
    assert seen.value("gangplank_predict_call", model="net_2") == 32
    assert seen.value("gangplank_predict_call", model="net_3") is None
    assert seen.value("gangplank_predict_call", model="_OTHER") == 96


def test_training_by_hand_is_no_prediction(seen: Seen) -> None:
    """Nor is building a model."""
    model = regression()
    model(data()[0], training=True)
    keras.Sequential([model, keras.layers.Dense(1)]).build((None, 3))
    assert not seen.value("gangplank_predict_call")


def test_a_model_that_is_compiled(seen: Seen) -> None:
    """Is compiled as without us, and in one piece; what runs then is the compiler's."""
    x, _ = data()
    model = regression()
    expected = np.asarray(keras.ops.convert_to_numpy(model(x)))
    backend = keras.backend.backend()

    def call(batch: Any) -> Any:
        return model(batch)

    if backend == "torch":
        torch = pytest.importorskip("torch")
        compiled = torch.compile(call, backend="eager", fullgraph=True)
        batch = torch.as_tensor(x, device=keras.ops.convert_to_tensor(x).device)
    elif backend == "jax":
        compiled, batch = pytest.importorskip("jax").jit(call), x
    else:
        compiled, batch = pytest.importorskip("tensorflow").function(call), x
    for _ in range(3):
        assert np.asarray(keras.ops.convert_to_numpy(compiled(batch))) == pytest.approx(expected)
    assert seen.value("gangplank_predict_call") == 32


def test_failures_pass_and_are_seen(seen: Seen) -> None:
    """As the user's own exceptions, of training and of prediction."""
    x, y = data()
    model = regression()
    error = RuntimeError("no")
    with pytest.raises(RuntimeError) as caught:
        model.fit(x, y, verbose=0, callbacks=[At("on_epoch_end", raising(error))])
    assert caught.value is error
    assert seen.value("gangplank_train_outcome", outcome="failed") == 1
    with pytest.raises(ValueError, match="cardinality"):
        regression().fit(x, y[:-1], verbose=0)
    model = regression()
    with pytest.raises(ValueError, match="shape"):
        model.predict(np.zeros((4, 7)), verbose=0)
    assert seen.value("gangplank_predict_errors", method="predict") == 1
    assert seen.value("gangplank_predict_in_flight") == 0
    regression().predict(x, verbose=0)  # on JAX, Keras has lost the weights of a model that failed
    assert seen.value("gangplank_predict") == 32


def test_wrong_callbacks_are_kerass_to_refuse(seen: Seen) -> None:
    """Its own error, in its own words."""
    x, y = data()
    with pytest.raises(AttributeError, match=r"on_batch_end|set_params|set_model"):
        regression().fit(x, y, verbose=0, callbacks=[3])
    assert seen.value("gangplank_train_outcome", outcome="failed") in (None, 1)


def test_a_model_that_is_loaded_anew(seen: Seen, tmp_path: Any) -> None:
    """Goes on where the one before it ended."""
    x, _ = data()
    model = regression()
    model.save(tmp_path / "net.keras")
    model.predict(x, verbose=0)
    again = keras.models.load_model(tmp_path / "net.keras")
    again.predict(x, verbose=0)
    assert seen.value("gangplank_predict", model="net") == 64


@pytest.mark.parametrize(
    ("disabled", "trained", "tested", "predicted"),
    [(["train"], None, 1, 32), (["test"], 1, None, 32), (["predict"], 1, 1, None), (["train", "test"], None, None, 32)],
)
def test_phases_that_are_disabled(
    instrumentor: KerasInstrumentor, disabled: list[str], trained: float, tested: float, predicted: float
) -> None:
    """Each by itself."""
    x, y = data()
    reader = InMemoryMetricReader()
    instrumentor.instrument(meter_provider=MeterProvider([reader], shutdown_on_exit=False), disabled=disabled)
    model = regression()
    model.fit(x, y, verbose=0, validation_split=0.25)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    seen = Seen(reader)
    assert seen.value("gangplank_train_epochs_count") == trained
    assert seen.value("gangplank_test_outcome") == tested
    assert seen.value("gangplank_predict") == predicted


def test_settings(instrumentor: KerasInstrumentor, monkeypatch: pytest.MonkeyPatch) -> None:
    """By argument, and by variable where there is none."""
    x, y = data()
    reader = InMemoryMetricReader()
    monkeypatch.setenv("OTEL_INSTRUMENTATION_KERAS_METRICS", "loss")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_KERAS_HISTOGRAM_BUCKETS", "-1, 0, 1")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_KERAS_WEIGHTS_LAYERS", "1")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_KERAS_MODEL_NAME", "other")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_KERAS_ATTRIBUTES", "team=ml")
    provider = MeterProvider([reader], shutdown_on_exit=False)
    instrumentor.instrument(meter_provider=provider, model_name="ours")
    model = regression()
    model.fit(x, y, verbose=0)
    model.predict(x, verbose=0)
    seen = Seen(reader)
    assert seen.value("gangplank_train_loss", model="ours", team="ml") is not None
    assert seen.value("gangplank_train_mae") is None
    assert seen.value("gangplank_predict", model="ours") == 32
    names = {
        metric.name
        for resource in (reader.get_metrics_data() or pytest.fail("nothing")).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert {"gangplank_train_model_weights_bucket", "gangplank_train_layer_weights_norm"} <= names


@pytest.mark.parametrize(
    ("given", "variables", "weights"),
    [
        ({}, {}, None),
        ({}, {"WEIGHTS_LAYERS": "0", "WEIGHTS_UPDATES": "false"}, None),
        ({}, {"HISTOGRAM_BUCKETS": "auto"}, Weights()),
        ({"histogram_buckets": [0.5]}, {"HISTOGRAM_BUCKETS": "auto"}, Weights(histogram_buckets=[0.5])),
        ({}, {"WEIGHTS_MAX_SHARE": "0.01"}, Weights(max_share=0.01)),
        (
            {"weights_updates": True},
            {"WEIGHTS_EVERY_N_EPOCHS": "5", "WEIGHTS_LAYERS": "7", "WEIGHTS_GRADIENTS": "True"},
            Weights(every_n_epochs=5, layers=7, updates=True, gradients=True),
        ),
    ],
)
def test_settings_of_weights(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], variables: dict[str, str], weights: Weights | None
) -> None:
    """Weights are read if any of them asks for it; then the distribution is there, too."""
    for name, text in variables.items():
        monkeypatch.setenv(f"OTEL_INSTRUMENTATION_KERAS_{name}", text)
    assert resolve(given).weights == weights


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ({"disabled": ["fit"]}, ConfigurationError),
        ({"disabled": "train"}, TypeError),
        ({"histogram_buckets": [1, 0]}, ConfigurationError),
        ({"metric": ["loss"]}, TypeError),
        ({"meter_provider": 3}, TypeError),
        ({"every_n_steps": 0}, ConfigurationError),
        ({"model_name": ""}, ConfigurationError),
        ({"weights_layers": -1}, ConfigurationError),
        ({"weights_updates": "yes"}, TypeError),
    ],
)
def test_wrong_arguments(instrumentor: KerasInstrumentor, argument: dict[str, Any], error: type[Exception]) -> None:
    """Are said at once, and nothing is changed."""
    before = {name: inner(name) for name in METHODS}
    with pytest.raises(error, match=next(iter(argument))):
        instrumentor.instrument(**argument)
    assert {name: inner(name) for name in METHODS} == before
    assert not instrumentor.is_instrumented_by_opentelemetry


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("DISABLED", "fit"),
        ("HISTOGRAM_BUCKETS", "a,b"),
        ("HISTOGRAM_BUCKETS", "1,0"),
        ("WEIGHTS_MAX_SHARE", "1%"),
        ("WEIGHTS_LAYERS", "1001"),
    ],
)
def test_a_wrong_variable(
    instrumentor: KerasInstrumentor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    variable: str,
    text: str,
) -> None:
    """Is an error in the log that names it, and the program goes on without."""
    monkeypatch.setenv(f"OTEL_INSTRUMENTATION_KERAS_{variable}", text)
    before = {name: inner(name) for name in METHODS}
    instrumentor.instrument()
    assert {name: inner(name) for name in METHODS} == before
    [record] = caplog.records
    assert f"OTEL_INSTRUMENTATION_KERAS_{variable}" in record.getMessage()


def test_the_processs_provider_by_default(instrumentor: KerasInstrumentor) -> None:
    """Whichever it is; here, none."""
    instrumentor.instrument()
    regression().predict(data()[0], verbose=0)
    assert metrics.get_meter_provider() is not None


def test_again_after_it_was_taken_back(instrumentor: KerasInstrumentor) -> None:
    """Counts from then on go to where it reports then."""
    x, _ = data()
    model = regression()
    readers = [InMemoryMetricReader(), InMemoryMetricReader()]
    for reader in readers:
        instrumentor.instrument(meter_provider=MeterProvider([reader], shutdown_on_exit=False))
        model.predict(x, verbose=0)
        instrumentor.uninstrument()
        model.predict(x, verbose=0)
    assert [Seen(reader).value("gangplank_predict") for reader in readers] == [32, 32]

"""Weights during a training: when they are read, on which thread, and what is said of them."""

from __future__ import annotations

import threading
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
from keras_suite import At, data, raising, regression, settle

from gangplank import ConfigurationError, Telemetry, TelemetryCallback, Weights
from gangplank.distribution import Distribution
from gangplank.testing import InMemoryExporter, ManualClock
from gangplank_keras import tensors
from gangplank_keras.measuring import Measuring

NORM = "gangplank_train_model_weights_norm"
RATIO = "gangplank_train_model_weights_update_ratio"


def weights_of(model: Any) -> npt.NDArray[np.float64]:
    """Return all trainable weights of a model, one after another."""
    arrays = [keras.ops.convert_to_numpy(variable.value) for variable in model.trainable_variables]
    return np.concatenate([np.ravel(array) for array in arrays]).astype(np.float64)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the threads on which weights were read."""
    names: list[str] = []
    finish = Measuring.finish

    def finishing(self: Measuring, *arguments: Any, **options: Any) -> Any:
        names.append(threading.current_thread().name)
        return finish(self, *arguments, **options)

    monkeypatch.setattr(Measuring, "finish", finishing)
    return names


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """What readings beside the training wait for, the weights in their hands."""
    go_on = threading.Event()
    finish = Measuring.finish

    def finishing(self: Measuring, *arguments: Any, **options: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            assert go_on.wait(30)
        return finish(self, *arguments, **options)

    monkeypatch.setattr(Measuring, "finish", finishing)
    return go_on


def test_weights_are_read_after_every_so_many_epochs(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """And show what they were then; after the last epoch they are read in any case."""
    model = regression()
    seen: list[tuple[Any, float]] = []

    def look() -> None:
        settle()
        seen.append((exporter.value(NORM, model="net"), float(np.linalg.norm(weights_of(model)))))

    callback = TelemetryCallback(telemetry, weights=Weights(every_n_epochs=2))
    model.fit(*data(), epochs=5, verbose=0, callbacks=[callback, At("on_epoch_end", look)])
    shown, true = zip(*seen, strict=True)
    assert shown[0] is None
    assert shown[1:] == pytest.approx([true[1], true[1], true[3], true[3]])
    assert exporter.value(NORM, model="net") == pytest.approx(true[4])


def test_without_being_asked_they_are_read_at_the_end_alone(telemetry: Telemetry, readings: list[str]) -> None:
    """As in gangplank 0.5.0."""
    callback = TelemetryCallback(telemetry, histogram_buckets=[0.0])
    regression().fit(*data(), epochs=3, verbose=0, callbacks=[callback])
    assert len(readings) == 1


def test_they_are_read_beside_the_training_where_that_is_safe(
    telemetry: Telemetry, exporter: InMemoryExporter, held: threading.Event
) -> None:
    """On JAX a whole epoch passes meanwhile, and what is read is as it was; elsewhere the training thread reads."""
    model = regression()
    true: list[float] = []

    def look() -> None:
        true.append(float(np.linalg.norm(weights_of(model))))
        if len(true) == 2:
            held.set()
            settle()
            assert exporter.value(NORM, model="net") == pytest.approx(true[0 if tensors.ARE_IMMUTABLE else 1])

    callback = TelemetryCallback(telemetry, weights=Weights(every_n_epochs=1))
    model.fit(*data(), epochs=2, batch_size=8, verbose=0, callbacks=[callback, At("on_epoch_end", look)])
    assert true[0] != true[1]
    assert exporter.value(NORM, model="net") == pytest.approx(true[1])


def test_nobody_waits_for_a_reading_when_the_training_fails(
    telemetry: Telemetry, exporter: InMemoryExporter, held: threading.Event
) -> None:
    """The user's exception comes at once, and nothing is written after it."""
    callback = TelemetryCallback(telemetry, weights=Weights(every_n_epochs=1))
    failing = At("on_epoch_end", raising(OSError("no room")))
    with pytest.raises(OSError, match="no room"):
        regression().fit(*data(), epochs=2, verbose=0, callbacks=[callback, failing])
    assert exporter.value("gangplank_train_outcome", model="net", outcome="failed") == 1
    shown = exporter.value(NORM, model="net")
    assert (shown is None) is tensors.ARE_IMMUTABLE
    held.set()
    settle()
    assert exporter.value(NORM, model="net") == shown


def test_bounds_that_fit_are_chosen_once_for_a_run(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Buckets that move cannot be compared."""
    model = regression()
    model.set_weights([np.full((3, 1), 0.3), np.zeros(1)])
    grow = At("on_epoch_begin", lambda: model.set_weights([w * 100 for w in model.get_weights()]))
    callback = TelemetryCallback(telemetry, weights=Weights(every_n_epochs=1))
    bounds = set()

    def look() -> None:
        settle()
        distribution = exporter.value("gangplank_train_model_weights", model="net")
        assert isinstance(distribution, Distribution)
        bounds.add(distribution.bounds)

    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    model.fit(*data(), epochs=3, verbose=0, callbacks=[grow, callback, At("on_epoch_end", look)])
    assert len(bounds) == 1
    (only,) = bounds
    assert only[-1] == 64.0  # twice 30, as powers of two go
    distribution = exporter.value("gangplank_train_model_weights", model="net")
    assert isinstance(distribution, Distribution)
    assert distribution.greatest == pytest.approx(300_000)
    assert distribution.cumulative[-2:] == (1, 4)
    model.fit(*data(), verbose=0, callbacks=[callback])
    distribution = exporter.value("gangplank_train_model_weights", model="net")
    assert isinstance(distribution, Distribution)
    assert distribution.bounds[-1] > 300_000


def nested() -> Any:
    """Return a compiled model in which layers are in layers, as large as their names say."""
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(7, name="seven")], name="block")
    model = keras.Sequential([keras.Input((3,)), inner, keras.layers.Dense(2, name="two")], name="net")
    model.compile(optimizer="sgd", loss="mse")
    return model


def test_layers_are_told_apart_by_where_they_are(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """The model's own name aside, by the path that Keras gives their variables."""
    model = nested()
    callback = TelemetryCallback(telemetry, weights=Weights(layers=5, histogram_buckets=[0.0]))
    model.fit(*data(), verbose=0, callbacks=[callback])
    counts = {
        labels["layer"]: value.count
        for labels, value in exporter.series("gangplank_train_layer_weights")
        if isinstance(value, Distribution)
    }
    assert counts == {"block/seven": 28, "two": 16}
    assert exporter.value("gangplank_train_layer_weights_combined", model="net") == 0
    kernel, bias = (keras.ops.convert_to_numpy(variable.value) for variable in model.layers[-1].trainable_variables)
    norm = float(np.sqrt((kernel**2).sum() + (bias**2).sum()))
    assert exporter.value("gangplank_train_layer_weights_norm", model="net", layer="two") == pytest.approx(norm)


def test_there_are_never_more_layers_than_were_asked_for(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """The rest is one series, and their number another."""
    callback = TelemetryCallback(telemetry, weights=Weights(layers=1))
    nested().fit(*data(), verbose=0, callbacks=[callback])
    shown = [labels["layer"] for labels, _ in exporter.series("gangplank_train_layer_weights_norm")]
    assert shown == ["block/seven", "_other"]
    assert exporter.value("gangplank_train_layer_weights_combined", model="net") == 1


@pytest.mark.parametrize("every_n_epochs", [None, 1, 2])
def test_how_far_the_weights_moved(
    telemetry: Telemetry, exporter: InMemoryExporter, every_n_epochs: int | None
) -> None:
    """Since they were last read, or since the training began; a reading without training between says nothing new."""
    model = regression()
    taken = [weights_of(model)]
    callback = TelemetryCallback(telemetry, weights=Weights(every_n_epochs=every_n_epochs, updates=True))
    take = At("on_epoch_end", lambda: taken.append(weights_of(model)))
    model.fit(*data(), epochs=4, verbose=0, callbacks=[callback, take])
    before = taken[{None: 0, 1: 3, 2: 2}[every_n_epochs]]
    expected = np.linalg.norm(taken[4] - before) / np.linalg.norm(before)
    assert exporter.value(RATIO, model="net") == pytest.approx(expected, rel=1e-4)


@pytest.mark.skipif(tensors.ARE_IMMUTABLE, reason="on JAX, Keras cannot freeze a layer of a model that it trains")
def test_a_layer_that_is_frozen_does_not_mix_up_the_others(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Each variable is compared with what it was itself."""
    model = nested()
    taken: list[Any] = []

    def freeze() -> None:
        settle()
        model.layers[0].trainable = False
        taken.append([keras.ops.convert_to_numpy(variable.value).copy() for variable in model.layers[1].weights])

    callback = TelemetryCallback(telemetry, weights=Weights(every_n_epochs=1, updates=True, layers=3))
    model.fit(*data(), epochs=2, verbose=0, callbacks=[callback, At("on_epoch_end", freeze)])
    before, after = (np.concatenate([np.ravel(array) for array in arrays]) for arrays in taken)
    ratio = exporter.value("gangplank_train_layer_weights_update_ratio", model="net", layer="two")
    assert ratio == pytest.approx(np.linalg.norm(after - before) / np.linalg.norm(before), rel=1e-4)


KEEPS_GRADIENTS = keras.backend.backend() == "torch"


@pytest.mark.parametrize("scale", [None, 64.0])
def test_the_norm_of_the_gradients_where_they_outlive_the_step(
    telemetry: Telemetry, exporter: InMemoryExporter, caplog: pytest.LogCaptureFixture, scale: float | None
) -> None:
    """On PyTorch it is that of the last step, whatever the loss was scaled by; elsewhere the log says there is none."""
    model = regression(optimizer=keras.optimizers.SGD(0.5, loss_scale_factor=scale))
    x, y = data()
    before = weights_of(model)
    callback = TelemetryCallback(telemetry, weights=Weights(gradients=True))
    model.fit(x, y, batch_size=len(x), verbose=0, callbacks=[callback])
    norm = exporter.value("gangplank_train_model_gradients_norm", model="net")
    if KEEPS_GRADIENTS:
        assert norm == pytest.approx(np.linalg.norm(weights_of(model) - before) / 0.5, rel=1e-4)
        assert "gradients" not in caplog.text
    else:
        assert norm is None
        assert caplog.text.count("the norm of gradients is not exported") == 1


def test_gradients_of_unknown_scale_are_not_exported(
    telemetry: Telemetry, exporter: InMemoryExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """By what a LossScaleOptimizer has multiplied them, the step itself may have changed."""
    model = regression(optimizer=keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01)))
    model.fit(*data(), verbose=0, callbacks=[TelemetryCallback(telemetry, weights=Weights(gradients=True))])
    assert exporter.value("gangplank_train_model_gradients_norm", model="net") is None
    assert caplog.text.count("the norm of gradients is not exported") == 1


def test_ctrl_c_while_the_weights_are_read_ends_the_run(
    telemetry: Telemetry, exporter: InMemoryExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the host's, and goes on its way; a run that is over does not stay on."""
    monkeypatch.setattr(Measuring, "finish", lambda *_, **__: raising(KeyboardInterrupt())())
    with pytest.raises(KeyboardInterrupt):
        regression().fit(*data(), verbose=0, callbacks=[TelemetryCallback(telemetry, histogram_buckets=[0.0])])
    assert exporter.value("gangplank_train_running", model="net") == 0
    assert exporter.value("gangplank_train_outcome", model="net", outcome="interrupted") == 1


def test_readings_that_fail_are_counted_against_their_share(
    exporter: InMemoryExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model whose weights cannot be read is not tried again after each epoch."""
    clock, readings = ManualClock(), 0

    def failing(*_: Any, **__: Any) -> Any:
        nonlocal readings
        readings += 1
        clock.advance(100)
        raise OSError

    monkeypatch.setattr(Measuring, "finish", failing)
    with Telemetry(exporters=[exporter], clock=clock) as telemetry:
        callback = TelemetryCallback(telemetry, weights=Weights(max_share=0.5))
        tick, wait = At("on_epoch_begin", lambda: clock.advance(1)), At("on_epoch_end", settle)
        regression().fit(*data(), epochs=9, verbose=0, callbacks=[tick, callback, wait])
    assert readings == 2  # after the first epoch, and at the end
    assert exporter.value("gangplank_train_model_weights_time_seconds_total", model="net") == 200
    assert exporter.value("gangplank_train_outcome", model="net", outcome="success") == 1


def test_layers_of_one_name_are_told_apart(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Keras leaves out in which model of a model a layer is."""
    inputs = keras.Input((3,))
    halves = [keras.Model(one := keras.Input((3,)), keras.layers.Dense(2, name="d")(one)) for _ in range(2)]
    model = keras.Model(inputs, keras.layers.Concatenate()([half(inputs) for half in halves]), name="net")
    model.compile(optimizer="sgd", loss="mse")
    x, _ = data()
    callback = TelemetryCallback(telemetry, weights=Weights(layers=5))
    model.fit(x, np.zeros((len(x), 4)), verbose=0, callbacks=[callback])
    shown = {labels["layer"]: value for labels, value in exporter.series("gangplank_train_layer_weights_norm")}
    norms = [float(np.sqrt(sum((weight**2).sum() for weight in half.get_weights()))) for half in halves]
    assert shown == {"d": pytest.approx(norms[0]), "d_2": pytest.approx(norms[1])}


def test_a_model_with_nothing_to_train_has_an_empty_distribution(
    telemetry: Telemetry, exporter: InMemoryExporter
) -> None:
    """It is there, and says so."""
    model = regression()
    model.trainable = False
    model.compile(loss="mse")
    model.evaluate(*data(), verbose=0, callbacks=[TelemetryCallback(telemetry, histogram_buckets=[0.0])])
    assert exporter.value("gangplank_test_model_weights", model="net") == Distribution((0.0,), (0, 0), 0.0)


def test_reading_backs_off_when_it_takes_more_than_its_share(
    exporter: InMemoryExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own measure, which is exported."""
    clock = ManualClock()
    finish = Measuring.finish

    def costly(self: Measuring, *arguments: Any, **options: Any) -> Any:
        clock.advance(3)
        return finish(self, *arguments, **options)

    monkeypatch.setattr(Measuring, "finish", costly)
    spent: list[Any] = []

    def look() -> None:
        settle()
        spent.append(exporter.value("gangplank_train_model_weights_time_seconds_total", model="net"))

    with Telemetry(exporters=[exporter], clock=clock) as telemetry:
        callback = TelemetryCallback(telemetry, weights=Weights(max_share=0.25))
        tick = At("on_epoch_begin", lambda: clock.advance(4))
        regression().fit(*data(), epochs=7, verbose=0, callbacks=[tick, callback, At("on_epoch_end", look)])
    # 3 s at once; the next 3 s fit into a quarter of 24 s, which have passed in the sixth epoch.
    assert spent == [3, 3, 3, 3, 3, 6, 6]
    assert exporter.value("gangplank_train_model_weights_time_seconds_total", model="net") == 9


def test_what_keras_restores_at_the_end_is_what_is_shown(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Weights are read once more when fit is over, be it that they were read after the last epoch."""
    model = regression()
    restore = At("on_train_end", lambda: model.set_weights([np.full((3, 1), 2.0), np.full(1, 2.0)]))
    callback = TelemetryCallback(telemetry, weights=Weights(every_n_epochs=1, updates=True))
    model.fit(*data(), epochs=2, verbose=0, callbacks=[callback, restore])
    assert exporter.value(NORM, model="net") == pytest.approx(4.0)


def test_an_evaluation_shows_them_too(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Once; what is about training is not there."""
    model = regression()
    options = Weights(every_n_epochs=1, layers=3, updates=True, gradients=True)
    model.evaluate(*data(), verbose=0, callbacks=[TelemetryCallback(telemetry, weights=options)])
    norm = exporter.value("gangplank_test_model_weights_norm", model="net")
    assert norm == pytest.approx(np.linalg.norm(weights_of(model)))
    assert len(exporter.series("gangplank_test_layer_weights_norm")) == 1
    assert not [name for name in exporter.names() if "ratio" in name or "gradients" in name]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"weights": "auto"}, TypeError, "weights must be a gangplank.Weights, not 'auto'"),
        ({"weights": Weights(), "histogram_buckets": [0.0]}, ConfigurationError, "are both given"),
    ],
)
def test_there_is_one_way_to_say_it(
    telemetry: Telemetry, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    """The shorter argument is short for the other."""
    with pytest.raises(error, match=message):
        TelemetryCallback(telemetry, **arguments)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_weights_in_memory_are_read_where_they_lie(dtype: str) -> None:
    """Not as a copy, which would be as large as the model."""
    variable = keras.Variable(np.linspace(-1, 1, 7), dtype=dtype)
    (tensor,) = tensors.of_variable(variable)
    assert tensors.is_on_host(tensor)
    array = tensors.array_of(tensor)
    assert not array.flags.owndata
    assert array.dtype.name == dtype
    np.testing.assert_array_equal(
        array.astype(np.float64), np.linspace(-1, 1, 7).astype(array.dtype).astype(np.float64)
    )

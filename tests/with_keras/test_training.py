"""What a real ``fit`` leaves behind."""

from __future__ import annotations

import copy
import pickle
import sys
import time
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from keras_suite import At, data, raising, regression
from processes import Page

from gangplank import PushgatewayExporter, Telemetry, TelemetryCallback, Weights
from gangplank.catalogue import TRAINING
from gangplank.distribution import Distribution
from gangplank.testing import FakeGateway, InMemoryExporter


def test_every_training_row_of_the_catalogue_has_a_value(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """A fit with all that can be asked of weights gives every row, and loss, metric and validation twins."""
    x, y = data()
    before = time.time()
    regression().fit(
        x,
        y,
        batch_size=8,
        epochs=2,
        verbose=0,
        validation_split=0.25,
        callbacks=[TelemetryCallback(telemetry, weights=Weights(layers=3, updates=True, gradients=True))],
    )
    after = time.time()
    gradients = {"gangplank_train_model_gradients_norm"}
    expected = {row.prometheus_name for row in TRAINING} - (set() if keras.backend.backend() == "torch" else gradients)
    assert expected <= exporter.names()
    for name in ("loss", "mae", "val_loss", "val_mae"):
        assert exporter.value(f"gangplank_train_{name}", model="net") is not None
    assert exporter.value("gangplank_train_epochs_count") == 2
    assert exporter.value("gangplank_train_epochs_planned") == 2
    assert exporter.value("gangplank_train_steps_total") == 6
    assert exporter.value("gangplank_train_model_parameters_count") == 4
    assert exporter.value("gangplank_train_learning_rate") == pytest.approx(0.01)
    assert exporter.value("gangplank_train_running") == 0
    assert exporter.value("gangplank_train_outcome", outcome="success") == 1
    for name in ("last_step", "last_success", "last_completion"):
        stamp = exporter.value(f"gangplank_train_{name}_timestamp_seconds")
        assert isinstance(stamp, float)
        assert before <= stamp <= after
    (labels, _), *_ = exporter.series("gangplank_train_info")
    assert labels["keras"] == keras.__version__
    assert labels["backend"] == keras.backend.backend()


def test_exported_metrics_equal_keras_history(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """The last epoch's numbers are those of Keras's own history."""
    x, y = data()
    history = regression().fit(x, y, epochs=3, verbose=0, callbacks=[TelemetryCallback(telemetry)])
    for key, values in history.history.items():
        assert exporter.value(f"gangplank_train_{key}") == pytest.approx(values[-1])


def test_durations_add_up(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Step durations are as many as steps, and no longer together than the run."""
    x, y = data()
    regression().fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=[TelemetryCallback(telemetry)])
    steps = exporter.value("gangplank_train_step_duration_seconds")
    elapsed = exporter.value("gangplank_train_elapsed_time_seconds")
    epoch = exporter.value("gangplank_train_epoch_duration_seconds")
    assert isinstance(steps, Distribution)
    assert isinstance(elapsed, float)
    assert isinstance(epoch, float)
    assert steps.count == 16
    assert 0 < steps.sum <= elapsed
    assert 0 < epoch <= elapsed


def test_a_callback_says_why_it_cannot_be_pickled(telemetry: Telemetry) -> None:
    """It cannot go to the workers of a job without its telemetry."""
    with pytest.raises(TypeError, match="in the process that uses them"):
        pickle.dumps(TelemetryCallback(telemetry))


@pytest.mark.parametrize("fails", [False, True])
def test_a_worker_of_ray_train_has_delivered_when_fit_ends(monkeypatch: pytest.MonkeyPatch, *, fails: bool) -> None:
    """Ray kills it once its function has returned, or raised."""
    context = SimpleNamespace(get_world_rank=lambda: 0, get_world_size=lambda: 1)
    monkeypatch.setitem(sys.modules, "ray.train", SimpleNamespace(get_context=lambda: context))
    x, y = data()
    with FakeGateway() as gateway:
        telemetry = Telemetry(exporters=[PushgatewayExporter(gateway.address, "mnist")])
        callbacks = [
            TelemetryCallback(telemetry),
            *([At("on_train_end", raising(ZeroDivisionError()))] if fails else []),
        ]
        with suppress(ZeroDivisionError):
            regression().fit(x, y, verbose=0, callbacks=callbacks)
        (*_, last) = [request.body for request in gateway.requests if request.path.endswith("/phase/train")]
        outcome = "failed" if fails else "success"
        assert Page(last).value("gangplank_train_outcome", outcome=outcome) == 1
        telemetry.close()


def test_weights_are_those_of_the_model(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """The distribution at the end counts the trained weights, with a true sum."""
    x, y = data()
    model = regression()
    model.fit(x, y, verbose=0, callbacks=[TelemetryCallback(telemetry, histogram_buckets=[-0.1, 0.0, 0.5])])
    values = np.concatenate([np.ravel(weight) for weight in model.get_weights()]).astype("float64")
    found = exporter.value("gangplank_train_model_weights")
    assert isinstance(found, Distribution)
    assert found.cumulative == (*(int((values <= bound).sum()) for bound in (-0.1, 0.0, 0.5)), 4)
    assert found.sum == pytest.approx(values.sum())


def test_frozen_weights_count_as_parameters_and_not_in_the_distribution(
    telemetry: Telemetry, exporter: InMemoryExporter
) -> None:
    """Parameters are all weights; the distribution is of the trainable ones."""
    x, y = data()
    model = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0, callbacks=[TelemetryCallback(telemetry, histogram_buckets=[0.0])])
    weights = exporter.value("gangplank_train_model_weights")
    assert exporter.value("gangplank_train_model_parameters_count") == 16
    assert isinstance(weights, Distribution)
    assert weights.count == 10


def test_epochs_before_a_resumed_run_count(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """With initial_epoch, epochs_count goes on where the run before stopped; steps are those taken here."""
    x, y = data()
    regression().fit(x, y, initial_epoch=3, epochs=5, verbose=0, callbacks=[TelemetryCallback(telemetry)])
    assert exporter.value("gangplank_train_epochs_count") == 5
    assert exporter.value("gangplank_train_steps_total") == 2


def test_steps_are_counted_when_several_run_at_once(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """With steps_per_execution, which PyTorch has not, Keras calls the hook once for several, and beyond the last."""
    x, y = data()
    at_once = 1 if keras.backend.backend() == "torch" else 4
    regression(steps_per_execution=at_once).fit(x, y, batch_size=3, verbose=0, callbacks=[TelemetryCallback(telemetry)])
    steps = exporter.value("gangplank_train_step_duration_seconds")
    assert exporter.value("gangplank_train_steps_total") == 11
    assert isinstance(steps, Distribution)
    assert steps.count == 11


def test_running_is_one_during_the_run(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """While the run is on, running is 1 and no outcome is; an exit was told at the begin."""
    x, y = data()
    seen: list[Any] = []

    def look() -> None:
        seen.append(exporter.value("gangplank_train_running"))
        seen.append(sum(float(str(value)) for _, value in exporter.series("gangplank_train_outcome")))
        seen.append(exporter.notifications)

    regression().fit(x, y, verbose=0, callbacks=[TelemetryCallback(telemetry), At("on_epoch_begin", look)])
    assert seen == [1, 0, 1]
    assert exporter.notifications == 3


def test_learning_rate_follows_a_schedule(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """A LearningRateSchedule is asked for its value at the present step."""
    x, y = data()
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([3, 7], [0.5, 0.25, 0.125])
    model = regression(optimizer=keras.optimizers.SGD(schedule))
    model.fit(x * 0, y * 0, batch_size=8, epochs=3, verbose=0, callbacks=[TelemetryCallback(telemetry)])
    assert exporter.value("gangplank_train_learning_rate") == 0.125


def test_learning_rate_in_the_logs_is_the_same_metric(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Keras's LearningRateScheduler puts its rate in the logs: one series, under the name that it always had."""
    x, y = data()
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 / (epoch + 1))
    callbacks = [scheduler, TelemetryCallback(telemetry)]
    regression().fit(x * 0, y * 0, epochs=2, verbose=0, callbacks=callbacks)
    assert exporter.value("gangplank_train_learning_rate") == 0.25
    assert "gangplank_train_learning_rate_metric" not in exporter.names()


def test_only_wanted_metrics_are_exported(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """``metrics`` chooses among the model's own metrics; the run's own series stay."""
    x, y = data()
    regression().fit(x, y, verbose=0, callbacks=[TelemetryCallback(telemetry, metrics=["mae"])])
    assert exporter.value("gangplank_train_mae") is not None
    assert exporter.value("gangplank_train_loss") is None
    assert exporter.value("gangplank_train_epochs_count") == 1


def test_a_second_run_replaces_the_first(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """One callback serves two fits; metrics that the second has not are gone, counters go on."""
    x, y = data()
    model = regression()
    callback = TelemetryCallback(telemetry)
    model.fit(x, y, epochs=2, verbose=0, validation_split=0.5, callbacks=[callback])
    assert exporter.value("gangplank_train_val_loss") is not None
    model.fit(x, y, verbose=0, callbacks=[callback])
    assert exporter.value("gangplank_train_val_loss") is None
    assert exporter.value("gangplank_train_epochs_count") == 1
    assert exporter.value("gangplank_train_steps_total") == 3


def test_models_are_told_apart(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Two models on one telemetry have a series each."""
    x, y = data()
    for name, epochs in (("first", 1), ("second", 2)):
        callback = TelemetryCallback(telemetry)
        regression(name).fit(x, y, epochs=epochs, verbose=0, callbacks=[callback])
    assert exporter.value("gangplank_train_epochs_count", model="first") == 1
    assert exporter.value("gangplank_train_epochs_count", model="second") == 2


def test_a_model_that_is_built_by_its_first_batch(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """A model without an Input has no weights when the run begins, and has them when it ends."""
    x, y = data()
    model = keras.Sequential([keras.layers.Dense(1)], name="late")
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0, callbacks=[TelemetryCallback(telemetry)])
    assert exporter.value("gangplank_train_model_parameters_count", model="late") == 4
    assert exporter.value("gangplank_export_errors_total") is None


def test_a_generator_of_unknown_length(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Data without a length is counted as it comes."""

    class Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Any:
            x, y = data(4)
            return x, y

    regression().fit(Batches(), epochs=2, verbose=0, callbacks=[TelemetryCallback(telemetry)])
    assert exporter.value("gangplank_train_steps_total") == 6


def test_early_stopping_is_a_success(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """A run that a callback ends by stop_training has finished."""
    x, y = data()
    stop = keras.callbacks.EarlyStopping(monitor="loss", patience=0, min_delta=1e9)
    regression().fit(x, y, epochs=9, verbose=0, callbacks=[stop, TelemetryCallback(telemetry)])
    assert exporter.value("gangplank_train_outcome", outcome="success") == 1
    epochs = exporter.value("gangplank_train_epochs_count")
    assert isinstance(epochs, int)
    assert epochs < 9


def test_a_copy_reports_to_the_same_telemetry(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Tuners deep-copy the callbacks that they are given, and fit with the copies."""
    x, y = data()
    callback = TelemetryCallback(telemetry, metrics=["mae"])
    twin = copy.deepcopy(callback)
    regression().fit(x, y, verbose=0, callbacks=[twin])
    assert twin.telemetry is telemetry
    assert exporter.value("gangplank_train_mae") is not None
    assert exporter.value("gangplank_train_loss") is None
    assert exporter.value("gangplank_train_outcome", outcome="success") == 1


def test_weights_are_those_that_fit_leaves_behind(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """A callback behind ours may restore the best weights at the end; it is these that are counted."""
    x, y = data()
    model = regression()
    restore = At("on_train_end", lambda: model.set_weights([weights * 0 for weights in model.get_weights()]))
    callback = TelemetryCallback(telemetry, histogram_buckets=[0.0])
    model.fit(x, y, verbose=0, callbacks=[callback, restore])
    weights = exporter.value("gangplank_train_model_weights")
    assert isinstance(weights, Distribution)
    assert weights.sum == 0

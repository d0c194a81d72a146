"""Which of Keras's logs become metrics, and under which names."""

from __future__ import annotations

import logging
from typing import Any

import keras
import numpy as np
import pytest
from keras_suite import data, regression

from gangplank import Telemetry, TelemetryCallback
from gangplank.testing import InMemoryExporter


def _epoch(telemetry: Telemetry, logs: dict[str, Any]) -> None:
    """Run one epoch through Keras's own callback list, without training."""
    hooks = keras.callbacks.CallbackList([TelemetryCallback(telemetry)], model=regression())
    hooks.on_train_begin()
    hooks.on_epoch_begin(0)
    hooks.on_epoch_end(0, logs)
    hooks.on_train_end()


def test_numbers_of_every_kind(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Python's, NumPy's and the backend's numbers are exported alike."""
    logs = {
        "int": 3,
        "bool": True,
        "float32": np.float32(0.5),
        "false": np.bool_(False),
        "array": np.array([7]),
        "tensor": keras.ops.convert_to_tensor(2.5),
    }
    _epoch(telemetry, logs)
    found = {key: exporter.value(f"gangplank_train_{key}") for key in logs}
    assert found == {"int": 3, "bool": 1, "float32": 0.5, "false": 0, "array": 7, "tensor": 2.5}


def test_what_is_no_number_is_left_out(
    telemetry: Telemetry, exporter: InMemoryExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Strings, None and vectors are left out, said once, and spoil nothing else."""
    caplog.set_level(logging.INFO, "gangplank")
    _epoch(telemetry, {"text": "high", "none": None, "vector": np.zeros(3), "letters": np.array(["x"]), "loss": 1.0})
    assert exporter.value("gangplank_train_loss") == 1
    assert not {f"gangplank_train_{key}" for key in ("text", "none", "vector", "letters")} & exporter.names()
    assert exporter.value("gangplank_export_errors_total") is None
    assert "'vector'" in caplog.text


def test_nested_logs_are_flattened(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """A dict in the logs gives a metric for each of its numbers (Keras's own list flattens it first, without keys)."""
    callback = TelemetryCallback(telemetry)
    callback.set_model(regression())
    callback.on_train_begin()
    callback.on_epoch_end(0, {"head": {"loss": 1.0, "deep": {"f1": 0.5}}})
    callback.on_train_end()
    assert exporter.value("gangplank_train_head_loss") == 1
    assert exporter.value("gangplank_train_head_deep_f1") == 0.5


def test_clashing_names_are_told_apart(
    telemetry: Telemetry, exporter: InMemoryExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """``a/b`` and ``a_b`` are two metrics; the one whose name is legal keeps it."""
    _epoch(telemetry, {"a/b": 1.0, "a_b": 2.0})
    assert exporter.value("gangplank_train_a_b") == 2
    assert exporter.value("gangplank_train_a_b_2") == 1
    assert "'a/b' is exported as gangplank_train_a_b_2" in caplog.text


def test_the_loss_keeps_its_name(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Keras sorts its logs, so that ``Loss`` comes first; the name that dashboards ask for stays the loss's."""
    _epoch(telemetry, {"Loss": 2.0, "loss": 1.0})
    assert exporter.value("gangplank_train_loss") == 1
    assert exporter.value("gangplank_train_Loss_2") == 2


def test_reserved_names_get_a_suffix(
    telemetry: Telemetry, exporter: InMemoryExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """A metric called ``running`` is not the run's state."""
    _epoch(telemetry, {"running": 0.25, "steps_total": 9.0})
    assert exporter.value("gangplank_train_running") == 0
    assert exporter.value("gangplank_train_running_metric") == 0.25
    assert exporter.value("gangplank_train_steps_total_metric") == 9
    assert "gangplank_train_running_metric" in caplog.text


def test_names_of_real_metrics(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Metrics with spaces, slashes and upper case of a real compile reach the exit under legal names."""
    x, y = data()
    metrics = [
        keras.metrics.MeanAbsoluteError(name="Mean Error/abs"),
        keras.metrics.MeanSquaredError(name="MSE"),
    ]
    regression(metrics=metrics).fit(x, y, verbose=0, callbacks=[TelemetryCallback(telemetry)])
    assert exporter.value("gangplank_train_Mean_Error_abs") is not None
    assert exporter.value("gangplank_train_MSE") is not None


def test_a_metric_that_comes_later(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """With validation_freq, validation metrics first come in a later epoch."""
    x, y = data()
    regression().fit(
        x, y, epochs=2, verbose=0, validation_data=(x, y), validation_freq=2, callbacks=[TelemetryCallback(telemetry)]
    )
    assert exporter.value("gangplank_train_val_loss") is not None


def test_no_optimizer(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """A model without an optimizer has no learning rate, and no error for it."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)], name="bare")
    hooks = keras.callbacks.CallbackList([TelemetryCallback(telemetry)], model=model)
    hooks.on_train_begin()
    hooks.on_epoch_begin(0)
    hooks.on_epoch_end(0, {"loss": 1.0})
    hooks.on_train_end()
    assert exporter.value("gangplank_train_learning_rate") is None
    assert exporter.value("gangplank_train_loss") == 1
    assert exporter.value("gangplank_export_errors_total") is None


class _Untouchable(dict[str, float]):
    """Logs that must not be read."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"the logs of a batch were read: {name}")


def test_batch_hooks_read_no_logs(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Reading a batch's logs would wait for the device."""
    callback = TelemetryCallback(telemetry)
    callback.set_model(regression())
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    callback.on_train_batch_end(0, _Untouchable())
    assert exporter.value("gangplank_train_steps_total") == 1
    assert exporter.value("gangplank_export_errors_total") is None


def test_batch_hooks_leave_asynchronous_dispatch_on(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a backend that dispatches hooks to threads, the callback does not turn that off."""
    monkeypatch.setattr("keras.src.backend.IS_THREAD_SAFE", True)
    hooks = keras.callbacks.CallbackList([TelemetryCallback(telemetry)], model=regression())
    assert hooks._async_train is True
    other = keras.callbacks.LambdaCallback(on_train_batch_end=lambda _batch, _logs: None)
    assert keras.callbacks.CallbackList([other], model=regression())._async_train is False

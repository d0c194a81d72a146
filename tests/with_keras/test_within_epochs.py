"""Metrics within an epoch, for those who ask for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import keras
import pytest
from keras_suite import data, regression

from gangplank import ConfigurationError, Telemetry, TelemetryCallback
from gangplank.testing import InMemoryExporter


class Watching(InMemoryExporter):
    """An exit that takes down the loss whenever there is news."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[Any] = []
        self.lock = threading.Lock()

    def notify(self) -> None:
        """Take it down."""
        with self.lock:
            self.losses.append(self.value("gangplank_train_loss"))


@pytest.fixture
def watching() -> Watching:
    """The exit."""
    return Watching()


@pytest.fixture
def telemetry(watching: Watching) -> Iterator[Telemetry]:
    """A telemetry with that exit."""
    with Telemetry(exporters=[watching]) as telemetry:
        yield telemetry


class Losses(keras.callbacks.Callback):
    """Takes down what Keras says at each step; the hooks then come one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.of_steps: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Take it down."""
        self.of_steps.append(float(logs["loss"]))


def test_every_so_many_steps(telemetry: Telemetry, watching: Watching) -> None:
    """The loss is what Keras has by then, and that of the epoch at its end."""
    x, y = data(80)
    losses = Losses()
    callback = TelemetryCallback(telemetry, every_n_steps=3)
    history = regression().fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0, callbacks=[losses, callback])
    of_epochs = [losses.of_steps[:10], losses.of_steps[10:]]
    seen = [loss for loss in watching.losses if loss is not None]
    expected = [
        loss
        for steps, end in zip(of_epochs, history.history["loss"], strict=True)
        for loss in (steps[2], steps[5], steps[8], end)
    ]
    assert seen[:8] == pytest.approx(expected)
    assert watching.value("gangplank_train_steps_total") == 20


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras takes one step at a time on PyTorch")
def test_steps_that_are_taken_together(telemetry: Telemetry, watching: Watching) -> None:
    """Keras tells of the last of them."""
    x, y = data(80)
    callback = TelemetryCallback(telemetry, every_n_steps=3)
    regression(steps_per_execution=5).fit(x, y, batch_size=8, verbose=0, callbacks=[Losses(), callback])
    within = [loss for loss in watching.losses if loss is not None]
    assert len(within) >= 3  # after 5 and 10 steps, and at the end
    assert watching.value("gangplank_train_steps_total") == 10


def test_not_unless_asked(telemetry: Telemetry, watching: Watching) -> None:
    """Nothing is seen of an epoch before its end, and the logs of a step are not touched."""

    class Untouchable:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    callback = TelemetryCallback(telemetry)
    callback.set_model(regression())
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    logs: Any = Untouchable()
    for step in range(100):
        callback.on_train_batch_end(step, logs)
    assert watching.value("gangplank_train_steps_total") == 100
    assert watching.value("gangplank_train_loss") is None
    assert telemetry.trouble.is_new("count a step", "AssertionError")
    callback.on_train_end()


def test_steps_out_of_order(telemetry: Telemetry, watching: Watching) -> None:
    """An older one that comes late does not put the metrics back."""
    callback = TelemetryCallback(telemetry, every_n_steps=2)
    callback.set_model(regression())
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    callback.on_train_batch_end(3, {"loss": 0.25})
    callback.on_train_batch_end(1, {"loss": 0.75})
    assert watching.value("gangplank_train_loss") == 0.25
    callback.on_epoch_begin(1)
    callback.on_train_batch_end(1, {"loss": 0.5})
    assert watching.value("gangplank_train_loss") == 0.5
    callback.on_train_end()


@pytest.mark.parametrize(
    ("value", "error"), [(0, ConfigurationError), (-1, ConfigurationError), (1.5, TypeError), (True, TypeError)]
)
def test_wrong_steps(value: Any, error: type[Exception]) -> None:
    """Are refused by name."""
    with pytest.raises(error, match="every_n_steps"):
        TelemetryCallback(every_n_steps=value)

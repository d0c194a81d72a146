"""A drift function on real models: what it is given, on which thread, and what becomes of what it says."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
from inference_suite import SAMPLES, Array, Seen, dense, imported, only, samples
from keras_suite import At

from gangplank import Drift, Telemetry, TelemetryModel
from gangplank.drift import monitor
from gangplank.testing import InMemoryExporter, ManualClock
from gangplank_keras import drift_inputs

# Of a generator that has an end, without steps.
pytestmark = pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")


class Watcher:
    """A drift function that remembers what it was given, and waits until it may go on."""

    def __init__(self, result: Any = None) -> None:
        self.result = result
        self.given: list[tuple[Any, Any]] = []
        self.threads: list[threading.Thread] = []
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, x: Any, y: Any) -> Any:
        """Remember, and wait."""
        self.begun.set()
        assert self.go_on.wait(30)
        self.given.append((x, y))
        self.threads.append(threading.current_thread())
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


def _watched(telemetry: Telemetry, watcher: Watcher, model: Any = None, **options: Any) -> Any:
    model = dense() if model is None else model
    return TelemetryModel(model, telemetry, get_drift_metrics_func=watcher, **options)


@pytest.mark.parametrize("method", ["predict", "predict_on_batch"])
@pytest.mark.parametrize("is_named", [False, True])
def test_each_prediction_is_looked_at(method: str, is_named: bool, telemetry: Telemetry, seen: Seen) -> None:
    """X is what was given and Y what was returned, on a thread that is not the caller's; a call is not looked at."""
    watcher = Watcher(Drift(drift_detected=1, p_value=0.25, test_statistic=3))
    proxy = _watched(telemetry, watcher)
    x = samples()
    y = getattr(proxy, method)(x=x) if is_named else getattr(proxy, method)(x)
    proxy(x)
    telemetry.flush()
    ((given, predicted),) = watcher.given
    np.testing.assert_array_equal(given, x)
    np.testing.assert_array_equal(predicted, y)
    assert threading.current_thread() not in watcher.threads
    assert seen.drift() == {"tested": SAMPLES}
    assert seen.exporter.value("gangplank_predict_drift_detected_total", model="net") == 1
    assert seen.exporter.value("gangplank_predict_drift_p_value", model="net") == 0.25
    assert seen.exporter.value("gangplank_predict_drift_test_statistic", model="net") == 3


@pytest.mark.filterwarnings("ignore:(?s).*structure of `inputs` doesn't match:UserWarning")  # Keras on openvino
def test_it_sees_what_was_predicted_from(telemetry: Telemetry) -> None:
    """A server writes its next request into the same buffers; the function has the old values, nests and all."""
    inputs = {"a": keras.Input((3,), name="a"), "b": keras.Input((5,), name="b")}
    model = keras.Model(inputs, dense()(inputs["a"]), name="net")
    watcher = Watcher()
    watcher.go_on.clear()
    proxy = _watched(telemetry, watcher, model)
    x = {"a": samples(), "b": samples(width=5)}
    before = {key: value.copy() for key, value in x.items()}
    y = proxy.predict(x, verbose=0)
    predicted = y.copy()
    for buffer in (*x.values(), y):
        buffer[:] = np.nan
    watcher.go_on.set()
    telemetry.flush()
    ((given, seen),) = watcher.given
    keras.tree.map_structure(np.testing.assert_array_equal, given, before)
    np.testing.assert_array_equal(seen, predicted)


@only("torch")
def test_it_sees_tensors_that_were_written_to(telemetry: Telemetry) -> None:
    """A PyTorch tensor can be written to as an array can."""
    torch = imported("torch")
    watcher = Watcher()
    watcher.go_on.clear()
    proxy = _watched(telemetry, watcher)
    x = torch.from_numpy(samples())
    proxy.predict(x, verbose=0)
    x.zero_()
    watcher.go_on.set()
    telemetry.flush()
    np.testing.assert_array_equal(watcher.given[0][0], samples())


def _batches(size: int = 3, buffer: Array | None = None) -> Iterator[tuple[Array]]:
    x = samples()
    for begin in range(0, len(x), size):
        batch = x[begin : begin + size]
        if buffer is not None:
            buffer[: len(batch)] = batch
            batch = buffer[: len(batch)]
        yield (batch,)


def test_a_generator_gives_the_batches_that_were_drawn(telemetry: Telemetry, seen: Seen) -> None:
    """It is spent by then: X is the list of what Keras drew, with steps perhaps fewer than there are."""
    watcher = Watcher()
    proxy = _watched(telemetry, watcher)
    y = proxy.predict(_batches(), verbose=0)
    proxy.predict(x=_batches(1), steps=2, verbose=0)
    telemetry.flush()
    (drawn, predicted), (some, two) = watcher.given
    assert [len(batch) for (batch,) in drawn] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate([batch for (batch,) in drawn]), samples())
    np.testing.assert_array_equal(predicted, y)
    assert len(two) == 2
    assert 2 <= len(some) <= SAMPLES
    assert seen.drift() == {"tested": SAMPLES + 2}


def test_a_generator_that_reuses_its_buffer(telemetry: Telemetry) -> None:
    """Each batch is kept as it was when it was drawn."""
    watcher = Watcher()
    proxy = _watched(telemetry, watcher)
    proxy.predict(_batches(3, np.zeros((3, 3), "float32")), verbose=0)
    telemetry.flush()
    drawn = watcher.given[0][0]
    np.testing.assert_array_equal(np.concatenate([batch for (batch,) in drawn]), samples())


def test_a_data_set_is_passed_as_it_is(telemetry: Telemetry, seen: Seen) -> None:
    """``tf.data``, which can be gone through again, is the function's to go through."""
    tf = imported("tensorflow")
    data = tf.data.Dataset.from_tensor_slices(samples()).batch(4)
    watcher = Watcher()
    proxy = _watched(telemetry, watcher)
    proxy.predict(data, verbose=0)
    telemetry.flush()
    assert watcher.given[0][0] is data
    assert seen.drift() == {"tested": SAMPLES}


def test_inline(telemetry: Telemetry, seen: Seen) -> None:
    """On request it runs before ``predict`` returns, on the caller's thread, on the very objects."""
    watcher = Watcher(Drift(p_value=0.5))
    proxy = _watched(telemetry, watcher, drift_inline=True)
    x = samples()
    y = proxy.predict(x, verbose=0)
    ((given, predicted),) = watcher.given
    assert given is x
    assert predicted is y
    assert watcher.threads == [threading.current_thread()]
    assert seen.drift() == {"tested": SAMPLES}


def test_its_time_is_no_prediction_time(exporter: InMemoryExporter) -> None:
    """Seconds that the function takes, inline, are in no row of the prediction."""
    clock = ManualClock()
    with Telemetry(exporters=[exporter], clock=clock) as telemetry:
        proxy = TelemetryModel(
            dense(), telemetry, get_drift_metrics_func=lambda _x, _y: clock.advance(60), drift_inline=True
        )
        proxy.predict(samples(), verbose=0, callbacks=[At("on_predict_begin", lambda: clock.advance(0.5))])
        assert Seen(exporter).seconds == (0.5, 0)


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("result", [ZeroDivisionError("no"), 0.25, "drift", Drift(drift_detected=-1), (1, 2, 3)])
def test_what_it_raises_is_kept_from_who_predicts(
    result: Any, inline: bool, exporter: InMemoryExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception, or a result that is no Drift, is counted each time, logged once, and predictions go on."""
    with Telemetry(exporters=[exporter]) as telemetry, caplog.at_level(logging.WARNING):
        proxy = _watched(telemetry, Watcher(result), drift_inline=inline)
        for _ in range(3):
            assert len(proxy.predict(samples(), verbose=0)) == SAMPLES
        telemetry.flush()
    seen = Seen(exporter)
    assert seen.drift() == {"failed": 3 * SAMPLES}
    assert (seen.predicted, seen.failures) == (3 * SAMPLES, {})
    assert len([record for record in caplog.records if "test for drift" in record.message]) == 1
    assert exporter.series("gangplank_predict_drift_p_value") == []


def test_nothing_to_say(telemetry: Telemetry, seen: Seen) -> None:
    """None, or a Drift of which nothing is known, is a test without a result."""
    watcher = Watcher()
    proxy = _watched(telemetry, watcher)
    for watcher.result in (None, Drift()):
        proxy.predict(samples(), verbose=0)
        telemetry.flush()
    assert seen.drift() == {"tested": 2 * SAMPLES}
    assert seen.exporter.series("gangplank_predict_drift_p_value") == []


def test_a_prediction_that_fails_is_not_looked_at(telemetry: Telemetry, seen: Seen) -> None:
    """There is no Y."""
    watcher = Watcher()
    proxy = _watched(telemetry, watcher)
    with pytest.raises(ValueError, match="incompatible"):
        proxy.predict(samples(width=2), verbose=0)
    telemetry.flush()
    assert watcher.given == []
    assert seen.drift() == {}


class Renamed(keras.Model):
    """A model whose ``predict`` calls its inputs something else."""

    def predict(self, images: Any, threshold: float = 0.5) -> Any:
        """Return what is above the threshold."""
        return images > threshold


def test_inputs_by_the_models_own_name(telemetry: Telemetry) -> None:
    """X is what the prediction was made of, whatever the model's ``predict`` calls it."""
    watcher = Watcher()
    proxy = _watched(telemetry, watcher, Renamed(name="net"))
    x = samples()
    proxy.predict(x, 0.25)
    proxy.predict(images=x)
    proxy.predict(threshold=0.75, images=x)
    telemetry.flush()
    for given, _ in watcher.given:
        np.testing.assert_array_equal(given, x)
    assert len(watcher.given) == 3


def test_more_than_can_wait_is_dropped(telemetry: Telemetry, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the function hangs, predictions go on; what there is no room for is dropped, and counted by the sample."""
    monkeypatch.setattr(monitor, "MOST_SAMPLES", 2 * SAMPLES)
    watcher = Watcher()
    watcher.go_on.clear()
    proxy = _watched(telemetry, watcher)
    proxy.predict(samples(), verbose=0)
    assert watcher.begun.wait(30)
    for _ in range(5):
        proxy.predict(samples(), verbose=0)
    assert seen.drift() == {"dropped": 3 * SAMPLES}
    watcher.go_on.set()
    telemetry.flush()
    assert seen.drift() == {"dropped": 3 * SAMPLES, "tested": 3 * SAMPLES}
    assert seen.predicted == 6 * SAMPLES


def test_a_generator_of_more_than_can_be_kept(
    telemetry: Telemetry, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is predicted from to its end, and dropped."""
    monkeypatch.setattr(drift_inputs, "MOST_BYTES", 10)
    watcher = Watcher()
    proxy = _watched(telemetry, watcher)
    assert len(proxy.predict(_batches(), verbose=0)) == SAMPLES
    telemetry.flush()
    assert watcher.given == []
    assert seen.drift() == {"dropped": SAMPLES}


def test_batches_of_a_model_that_is_gone(telemetry: Telemetry, seen: Seen) -> None:
    """A model that was dropped with batches waiting leaves them to be tested: a flush waits for them too."""
    watcher = Watcher()
    watcher.go_on.clear()
    proxy = _watched(telemetry, watcher)
    proxy.predict(samples(), verbose=0)
    proxy.predict(samples(), verbose=0)
    assert watcher.begun.wait(30)
    del proxy
    gc.collect()
    threading.Timer(0.2, watcher.go_on.set).start()
    telemetry.flush(30)
    assert seen.drift() == {"tested": 2 * SAMPLES}

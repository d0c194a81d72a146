"""A proxy is saved, cloned, copied, pickled and built into other models as the model is."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from inference_suite import BACKEND, SAMPLES, Seen, dense, samples

from gangplank import Drift, Telemetry, TelemetryModel
from gangplank.testing import InMemoryExporter

# Keras's NumPy backend finds shapes by computing with whatever lies in memory.
pytestmark = pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")


def drift(_x: Any, _y: Any) -> Drift:
    """Find none."""
    return Drift(drift_detected=0)


def _save(proxy: Any, path: Path) -> Any:
    proxy.save(path)
    return keras.saving.load_model(path)


def _save_model(proxy: Any, path: Path) -> Any:
    keras.saving.save_model(proxy, path)
    return keras.saving.load_model(path)


def _weights(proxy: Any, path: Path) -> Any:
    proxy.save_weights(path.with_suffix(".weights.h5"))
    model = dense()
    TelemetryModel(model, proxy.telemetry).load_weights(path.with_suffix(".weights.h5"))
    return model


def _clone(proxy: Any, path: Path) -> Any:
    clone = keras.models.clone_model(proxy)
    clone.set_weights(proxy.get_weights())
    return clone


def _config(proxy: Any, path: Path) -> Any:
    clone = proxy.from_config(proxy.get_config())
    clone.set_weights(proxy.get_weights())
    return clone


@pytest.mark.parametrize("way", [_save, _save_model, _weights, _clone, _config])
def test_what_was_saved_is_the_model(way: Callable[[Any, Path], Any], telemetry: Telemetry, tmp_path: Path) -> None:
    """What comes back is a plain Keras model that predicts the same."""
    proxy = TelemetryModel(dense(), telemetry)
    again = way(proxy, tmp_path / "net.keras")
    assert type(again) is keras.Sequential
    assert again.name == "net"
    np.testing.assert_array_equal(again.predict(samples(), verbose=0), proxy.predict(samples(), verbose=0))


def test_a_file_is_the_same_as_without(telemetry: Telemetry, tmp_path: Path) -> None:
    """What is saved through the proxy says nothing of one: a process without Gangplank can load it."""
    model = dense()
    TelemetryModel(model, telemetry).save(tmp_path / "net.keras")
    config = keras.saving.serialize_keras_object(TelemetryModel(model, telemetry))
    assert config == keras.saving.serialize_keras_object(model)
    assert b"gangplank" not in (tmp_path / "net.keras").read_bytes().lower()


@pytest.mark.parametrize("function", [copy.copy, copy.deepcopy])
def test_a_copy_reports_under_the_name_of_the_original(
    function: Callable[[Any], Any], telemetry: Telemetry, seen: Seen
) -> None:
    """Both count together; the copy's model is another, with the same weights at first and its own from then on."""
    proxy = TelemetryModel(dense(), telemetry)
    before = proxy.predict(samples(), verbose=0)
    twin = function(proxy)
    assert type(twin) is TelemetryModel
    assert isinstance(twin, keras.Sequential)
    assert twin.model is not proxy.model
    assert twin.telemetry is telemetry
    np.testing.assert_array_equal(twin.predict(samples(), verbose=0), before)
    twin(samples())
    assert (seen.predicted, seen.called) == (2 * SAMPLES, SAMPLES)
    if function is copy.deepcopy:
        twin.set_weights([weight * 0 for weight in twin.get_weights()])
        np.testing.assert_array_equal(proxy.predict(samples(), verbose=0), before)
    del proxy
    twin.predict(samples(), verbose=0)
    assert seen.of("net_2").exporter.value("gangplank_predict_total", model="net_2") is None


def test_a_copy_inside_a_structure(telemetry: Telemetry) -> None:
    """What refers twice to one proxy refers, copied deep, twice to one copy."""
    proxy = TelemetryModel(dense(), telemetry)
    first, (second,) = copy.deepcopy((proxy, [proxy]))
    assert first is second
    assert first is not proxy


def test_a_copy_has_the_drift_function(telemetry: Telemetry, seen: Seen) -> None:
    """A copy is looked at as the original is."""
    proxy = TelemetryModel(dense(), telemetry, get_drift_metrics_func=drift)
    copy.copy(proxy).predict(samples(), verbose=0)
    telemetry.flush()
    assert seen.drift() == {"tested": SAMPLES}


def test_pickle(telemetry: Telemetry, seen: Seen) -> None:
    """A pickled proxy reports to what the process where it is loaded has by default, with name and drift function."""
    proxy = TelemetryModel(dense(), telemetry, name="served", get_drift_metrics_func=drift, drift_inline=True)
    again = pickle.loads(pickle.dumps(proxy))  # noqa: S301 - our own
    assert type(again) is TelemetryModel
    assert again.telemetry is not telemetry
    x = samples()
    np.testing.assert_array_equal(again.predict(x, verbose=0), proxy.model.predict(x, verbose=0))
    exporter = again.telemetry.attach(InMemoryExporter())
    try:
        assert Seen(exporter, "served").predicted == SAMPLES
        assert Seen(exporter, "served").drift() == {"tested": SAMPLES}
    finally:
        again.telemetry.close()
    assert seen.of("served").predicted == 0


def test_a_call_with_a_symbolic_tensor(telemetry: Telemetry, seen: Seen) -> None:
    """A functional model that is built out of a proxy contains the model: neither building nor using it counts."""
    proxy = TelemetryModel(dense(), telemetry)
    inputs = keras.Input((3,))
    outer = keras.Model(inputs, keras.layers.Dense(1)(proxy(inputs)))
    outer(samples())
    outer.predict(samples(), verbose=0)
    assert isinstance(proxy.call(keras.KerasTensor((None, 3))), keras.KerasTensor)
    assert seen.nothing
    assert proxy.model in outer.layers
    proxy(samples())
    assert seen.called == SAMPLES


def test_an_error_in_building(telemetry: Telemetry, seen: Seen) -> None:
    """A model that cannot be built has failed nobody."""
    proxy = TelemetryModel(dense(), telemetry)
    with pytest.raises(ValueError, match="incompatible"):
        proxy(keras.Input((2,)))
    assert seen.nothing


def test_a_proxy_as_a_layer_of_a_sequential_model(telemetry: Telemetry, seen: Seen, tmp_path: Path) -> None:
    """It is built in as the model, and is loaded again as such."""
    proxy = TelemetryModel(dense(), telemetry)
    outer = keras.Sequential([keras.Input((3,)), proxy, keras.layers.Dense(1)])
    expected = outer.predict(samples(), verbose=0)
    outer(samples())
    outer.save(tmp_path / "outer.keras")
    again = keras.saving.load_model(tmp_path / "outer.keras")
    np.testing.assert_array_equal(again.predict(samples(), verbose=0), expected)
    assert type(again.layers[0]) is keras.Sequential
    assert seen.nothing


class Around(keras.Model):
    """A model that calls another."""

    def __init__(self, inner: Any) -> None:
        super().__init__(name="outer")
        self.inner = inner
        self.last = keras.layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        """Call the other."""
        return self.last(self.inner(inputs))


def test_a_model_that_calls_a_proxy(telemetry: Telemetry, seen: Seen) -> None:
    """Each real call of the outer one is a call of the inner one."""
    outer = Around(TelemetryModel(dense(), telemetry))
    assert len(outer.trainable_variables) == 2
    outer(samples())
    outer(samples())
    assert (seen.called, seen.calls) == (2 * SAMPLES, {"__call__": 2})


def test_building_a_model_that_calls_a_proxy(telemetry: Telemetry, seen: Seen) -> None:
    """Keras finds shapes by calls with made up values, which serve nobody."""
    outer = Around(TelemetryModel(dense(), telemetry))
    assert outer(keras.Input((3,))).shape == (None, 1)
    assert outer.compute_output_spec(keras.KerasTensor((None, 3))).shape == (None, 1)
    assert seen.nothing


def test_predicting_with_a_model_that_calls_a_proxy(telemetry: Telemetry, seen: Seen) -> None:
    """Where Keras compiles ``predict``, the calls inside are traced; where it does not, each batch is a call."""
    outer = Around(TelemetryModel(dense(), telemetry))
    assert len(outer.predict(samples(), batch_size=4, verbose=0)) == SAMPLES
    expected = {"__call__": 2} if BACKEND in ("torch", "numpy") else {}
    assert seen.calls == expected
    assert seen.called == (SAMPLES if expected else 0)

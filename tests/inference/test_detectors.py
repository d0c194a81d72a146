"""Detectors of drift on real models: what they look at, how they are called, and that all of them are heard."""

from __future__ import annotations

import copy
import gc
import threading
from typing import Any

import keras
import numpy as np
import pytest
from inference_suite import SAMPLES, Seen, at_once, dense, samples

from gangplank import (
    ClassDrift,
    ConfigurationError,
    Drift,
    DriftResult,
    FeatureDrift,
    MMDDrift,
    PrometheusModel,
    Telemetry,
    TelemetryModel,
)


class MeanDrift:
    """A detector that says how large the mean is of what it looks at, and remembers what it was given."""

    def __init__(self, on: Any = None, name: str | None = None, ert: int | None = None) -> None:
        self.given: list[tuple[Any, Any]] = []
        self.on = on
        self.name = name
        self.ert = ert
        self.at_work = 0

    def update(self, x: Any, y: Any) -> DriftResult:
        """Look at a batch."""
        self.at_work += 1
        assert self.at_work == 1
        self.given.append((x, y))
        value = x if self.on == "inputs" else y
        result = DriftResult(test_statistic=float(np.mean(value)), threshold=1.0, observations=len(value))
        self.at_work -= 1
        return result

    def reset(self) -> None:
        """Forget what was seen."""
        self.given.clear()


class KSDrift(MeanDrift):
    """Another kind."""


def detectors(seen: Seen, suffix: str) -> dict[str, Any]:
    """Return a metric of drift by detector."""
    series = seen.exporter.series(f"gangplank_predict_drift_{suffix}")
    return {labels.get("detector", ""): value for labels, value in series}


def test_several_detectors_look_at_each_prediction(telemetry: Telemetry, seen: Seen) -> None:
    """Each at what it is for; the drift function beside them is given both."""
    outputs, inputs = MeanDrift("predictions", ert=500), MeanDrift("inputs", name="on_inputs")
    given: list[Any] = []

    def function(x: Any, y: Any) -> Drift:
        given.append((x, y))
        return Drift(1)

    model = TelemetryModel(dense(), telemetry, get_drift_metrics_func=function, drift=[outputs, inputs])
    x = samples()
    y = model.predict(x, verbose=0)
    telemetry.flush()
    assert detectors(seen, "test_statistic") == {
        "mean_drift": pytest.approx(float(np.mean(y))),
        "on_inputs": pytest.approx(float(np.mean(x))),
    }
    assert detectors(seen, "observations_total") == {"mean_drift": SAMPLES, "on_inputs": SAMPLES}
    assert detectors(seen, "expected_run_time") == {"mean_drift": 500}
    assert detectors(seen, "detected_total") == {"": 1, "mean_drift": 0, "on_inputs": 0}
    np.testing.assert_array_equal(given[0][0], x)
    np.testing.assert_array_equal(given[0][1], y)


@pytest.mark.parametrize(("on", "kept"), [("predictions", (False, True)), ("inputs", (True, False))])
def test_what_nobody_looks_at_is_not_copied(telemetry: Telemetry, on: str, kept: tuple[bool, bool]) -> None:
    """The inputs are often the larger part."""
    detector = MeanDrift(on)
    TelemetryModel(dense(), telemetry, drift=detector).predict(samples(), verbose=0)
    telemetry.flush()
    ((x, y),) = detector.given
    assert (x is not None, y is not None) == kept


class Mixes(ClassDrift):
    """A detector of the project's own kind, which remembers how much it was given at a time."""

    given: list[int]

    def update(self, x: Any, y: Any) -> DriftResult:
        """Look at a batch."""
        self.given.append(len(y))
        return super().update(x, y)


@pytest.mark.parametrize(
    ("function", "on", "together"),
    [
        (None, "predictions", True),
        (lambda _x, _y: None, "predictions", False),
        (None, lambda _x, y: np.asarray(y).argmax(axis=1), False),
    ],
)
def test_detectors_that_look_at_rows_get_what_gathered_at_once(
    telemetry: Telemetry, seen: Seen, monkeypatch: pytest.MonkeyPatch, *, function: Any, on: Any, together: bool
) -> None:
    """It takes a fraction of the time. A function, which may look at others of the batch, is given each call's."""
    monkeypatch.setattr("gangplank.drift.monitor._PAUSE", 3600.0)
    detector = Mixes(np.arange(1000) % 2, window=100, ert=1000, n_streams=500, on=on)
    detector.given = []
    model = TelemetryModel(dense(), telemetry, get_drift_metrics_func=function, drift=detector)
    for _ in range(3):
        model.predict(samples(), verbose=0)
    telemetry.flush()
    assert detector.given == ([3 * SAMPLES] if together else [SAMPLES] * 3)
    assert detectors(seen, "observations_total")["classes"] == 3 * SAMPLES


class Echo:
    """A model that several threads can predict with on every backend."""

    name = "net"

    def predict(self, x: Any) -> Any:
        """Return the inputs."""
        return x


def test_one_detector_works_at_a_time(telemetry: Telemetry, seen: Seen) -> None:
    """Also inline, where several threads predict."""
    detector = MeanDrift("predictions")
    model = TelemetryModel(Echo(), telemetry, drift=detector, drift_inline=True)
    at_once(4, lambda _: [model.predict(samples()) for _ in range(50)])
    assert detectors(seen, "observations_total") == {"mean_drift": 200 * SAMPLES}
    assert seen.drift() == {"tested": 200 * SAMPLES}


def test_copies_and_pickled_models_have_the_detectors(telemetry: Telemetry) -> None:
    """As they have the drift function."""
    detector = MeanDrift("predictions")
    model = TelemetryModel(dense(), telemetry, drift={"mine": detector})
    copy.copy(model).predict(samples(), verbose=0)
    telemetry.flush()
    assert len(detector.given) == 1
    _, _, settings = model.__reduce_ex__(4)[1]
    assert settings["drift"]["mine"] is detector


def test_the_gauges_of_a_model_that_is_gone_are_gone(telemetry: Telemetry, seen: Seen) -> None:
    """Of all its detectors; what was counted stays."""
    model = TelemetryModel(dense(), telemetry, drift=[MeanDrift("predictions", ert=9), KSDrift("inputs")])
    model.predict(samples(), verbose=0)
    telemetry.flush()
    assert detectors(seen, "test_statistic").keys() == {"mean_drift", "ks_drift"}
    del model
    gc.collect()
    for gauge in ("test_statistic", "threshold", "expected_run_time"):
        assert detectors(seen, gauge) == {}
    assert detectors(seen, "observations_total") == {"mean_drift": SAMPLES, "ks_drift": SAMPLES}


def test_real_detectors_see_a_real_shift(telemetry: Telemetry, seen: Seen) -> None:
    """And nothing before it comes: with the expected run times that they were made for."""
    bare = dense()
    bare.set_weights([np.asarray([[1.0, -0.5], [0.25, 1.0], [-1.0, 0.5]]), np.zeros(2)])
    quiet, inputs = samples(rows=2000), samples(rows=2600)[2000:]
    detectors_of: list[Any] = [
        MMDDrift(bare.predict(quiet, verbose=0), ert=5_000, window=100, n_streams=500, seed=1),
        FeatureDrift(quiet, ert=5_000, window=100, n_streams=500, seed=1),
    ]
    model = TelemetryModel(bare, telemetry, drift=detectors_of)
    for batch in np.array_split(inputs, 50):
        model.predict_on_batch(batch)
    telemetry.flush()
    assert detectors(seen, "detected_total") == {"mmd": 0, "features": 0}
    for batch in np.array_split(inputs + np.float32(1.0), 50):
        model.predict_on_batch(batch)
    telemetry.flush()
    found = detectors(seen, "detected_total")
    assert found["mmd"] >= 1
    assert found["features"] >= 1
    assert detectors(seen, "observations_total") == {"mmd": 1200, "features": 1200}
    assert detectors(seen, "window_fill").keys() == {"mmd", "features"}
    assert detectors(seen, "expected_run_time") == {"mmd": 5_000, "features": 5_000}
    assert detectors(seen, "threshold") == {one.name: one.threshold for one in detectors_of}


@pytest.mark.parametrize("kind", [MMDDrift, ClassDrift])
def test_an_embedding_is_looked_at(telemetry: Telemetry, seen: Seen, kind: Any) -> None:
    """What a layer makes of the inputs, which is a tensor of the backend's, one with a gradient on PyTorch."""
    inputs = keras.Input((3,))
    embedding = keras.layers.Dense(2, name="embedding")(inputs)
    bare = keras.Model(inputs, keras.layers.Dense(1)(embedding))
    embed = keras.Model(bare.input, bare.get_layer("embedding").output)
    rows = np.random.default_rng(0).normal(size=(600, 3)).astype("float32")
    reference = keras.ops.convert_to_numpy(embed(rows))
    detector = kind(reference, ert=1000, window=25, n_streams=500, on=lambda x, _: embed(x), seed=0)
    model = TelemetryModel(bare, telemetry, drift=detector)
    model.predict_on_batch(rows[:50])
    telemetry.flush()
    assert list(detectors(seen, "observations_total").values()) == [50]


@pytest.mark.parametrize(
    ("drift", "error", "message"),
    [
        (3, TypeError, "drift must be a detector, or several, not 3"),
        ("mmd", ConfigurationError, r"drift must be where a model is saved .* got 'mmd'"),
        (b"mmd", TypeError, "drift must be a detector, or several, not b'mmd'"),
        ([MeanDrift(), 3], TypeError, "drift must hold detectors, which have a method update"),
        (MeanDrift, TypeError, "drift must hold detectors"),
        ([MeanDrift(), MeanDrift()], ConfigurationError, "drift holds two detectors called 'mean_drift'"),
        ({"": MeanDrift()}, ConfigurationError, "the name of a detector must not be empty"),
        ({str(number): MeanDrift() for number in range(11)}, ConfigurationError, "10 detectors at the most, got 11"),
    ],
)
def test_what_is_no_detector_is_said_at_construction(
    telemetry: Telemetry, drift: Any, error: type[Exception], message: str
) -> None:
    """With the name of the argument."""
    with pytest.raises(error, match=message):
        TelemetryModel(dense(), telemetry, drift=drift)
    threads = threading.active_count()
    with pytest.raises(error, match=message):
        PrometheusModel(dense(), port=0, drift=drift)
    assert threading.active_count() == threads

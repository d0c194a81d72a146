"""A reference that travels with the model: captured in training, kept beside its file, found again where it serves."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras_suite import At, data, raising

from gangplank import (
    ClassDrift,
    ConfigurationError,
    DriftProfile,
    DriftProfileCallback,
    FeatureDrift,
    MMDDrift,
    Telemetry,
    TelemetryModel,
    drift_profile,
)
from gangplank.drift import defaults
from gangplank.testing import InMemoryExporter
from gangplank_keras import drift_watch
from gangplank_keras.fingerprints import fingerprint

ROWS = 400
_SMALL: dict[str, Any] = {"window": 20, "ert": 60, "n_streams": 500, "seed": 3}


def classifier(name: str = "net") -> Any:
    """Return a compiled model that tells three classes apart, and has weights of several kinds."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4),
            layers.BatchNormalization(),
            layers.Dropout(0.1),
            layers.Dense(3, activation="softmax"),
        ],
        name=name,
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def small(profile: DriftProfile) -> list[Any]:
    """Return detectors that are made in no time."""
    return [MMDDrift(profile, **_SMALL)]


@pytest.fixture
def telemetry(telemetry: Telemetry) -> Telemetry:
    """A telemetry that has started."""
    telemetry.start()
    return telemetry


@pytest.fixture
def model() -> Any:
    """A model with weights."""
    return classifier()


@pytest.fixture
def x() -> Any:
    """Inputs."""
    return data(ROWS)[0]


def fit(model: Any, *callbacks: Any, epochs: int = 2) -> None:
    """Train a little."""
    x, y = data(32)
    model.fit(x, (y[:, 0] > 0).astype(int), epochs=epochs, verbose=0, callbacks=list(callbacks))


class TestFingerprint:
    """Of the weights: these, all of them, and nothing else."""

    def test_stays_when_the_model_is_saved_and_loaded(self, model: Any, tmp_path: Path) -> None:
        """Names of layers, the optimizer and the state of random numbers are no part of it."""
        fit(model)
        before = fingerprint(model)
        model.save(tmp_path / "net.keras")
        model.predict(data()[0], verbose=0)

        loaded = keras.saving.load_model(tmp_path / "net.keras")

        assert before is not None
        assert fingerprint(loaded) == fingerprint(model) == before
        assert fingerprint(keras.models.clone_model(model)) != before

    def test_changes_with_any_weight(self, model: Any) -> None:
        """Also those that are not trained."""
        found = {fingerprint(model)}
        for variable in model.weights:
            values = keras.ops.convert_to_numpy(variable).copy()
            values.flat[-1] += 1e-3
            variable.assign(values)
            found.add(fingerprint(model))

        assert len(found) == 1 + len(model.weights)

    def test_of_weights_in_half_precision(self) -> None:
        """Which NumPy does not know."""
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype="bfloat16")])

        assert fingerprint(model)

    def test_of_a_model_without_weights(self) -> None:
        """There is none yet."""
        assert fingerprint(keras.Sequential([keras.layers.Dense(2)])) is None


class TestCapture:
    """What a profile holds of a model."""

    def test_what_is_predicted(self, model: Any, x: Any) -> None:
        """And the inputs, if they are wanted."""
        profile = drift_profile(model, x, inputs=True, detectors=small)

        np.testing.assert_allclose(profile.predictions, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(profile.inputs, x)
        assert profile.fingerprint == fingerprint(model)
        assert list(profile.detectors) == ["mmd"]
        assert drift_profile(model, x, detectors=None).inputs is None

    def test_some_of_many(self, model: Any, x: Any) -> None:
        """In their order, inputs and predictions alike."""
        profile = drift_profile(model, x, inputs=True, detectors=None, max_samples=50)

        assert profile.inputs is not None
        assert profile.inputs.shape == (50, 3)
        places = [int(np.flatnonzero((x == row).all(axis=1))[0]) for row in profile.inputs]
        assert places == sorted(set(places))
        np.testing.assert_allclose(profile.predictions, model.predict(x, verbose=0)[places], rtol=1e-5, atol=1e-6)

    def test_of_batches_that_a_data_set_makes(self, model: Any, x: Any) -> None:
        """Whatever predict takes."""

        class Batches(keras.utils.PyDataset):
            def __len__(self) -> int:
                return 4

            def __getitem__(self, index: int) -> Any:
                return (x[index * 60 : index * 60 + 60],)

        profile = drift_profile(model, Batches(), detectors=None, max_samples=100)

        assert profile.predictions.shape == (100, 3)
        with pytest.raises(TypeError, match="x must be one array for its inputs to be kept, not Batches"):
            drift_profile(model, Batches(), inputs=True)

    def test_several_outputs(self, x: Any) -> None:
        """Are no one array."""
        entry = keras.Input((3,))
        model = keras.Model(entry, [keras.layers.Dense(1)(entry), keras.layers.Dense(2)(entry)])

        with pytest.raises(TypeError, match="must predict one array for a drift profile, not a list"):
            drift_profile(model, x)

    def test_by_default_of_classes_too(self, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two detectors, as large as the data allows."""
        monkeypatch.setattr(defaults, "EXPECTED_RUN_TIME", 100)  # which takes less time
        profile = drift_profile(model, data(820)[0])

        found = {name: (state["window"], state["ert"]) for name, state in profile.detectors.items()}
        assert found == {"mmd": (41, 100), "classes": (100, 100)}

    def test_too_little_for_any_detector(self, model: Any, x: Any) -> None:
        """Says how much it takes."""
        with pytest.raises(ConfigurationError, match="at least 200 predictions for a detector, got 32"):
            drift_profile(model, x[:32])

    @pytest.mark.parametrize(
        ("detectors", "message"),
        [
            (lambda _: object(), "drift must be a detector"),
            (lambda profile: {"a": profile}, "update"),
            (lambda _: Other(), "Gangplank's own, whose state can be kept"),
        ],
    )
    def test_detectors_that_cannot_be_kept(
        self, detectors: Callable[[Any], Any], message: str, model: Any, x: Any
    ) -> None:
        """Only Gangplank's own can be found again."""
        with pytest.raises(TypeError, match=message):
            drift_profile(model, x, detectors=detectors)

    def test_is_no_prediction_of_the_program(
        self, model: Any, x: Any, telemetry: Telemetry, exporter: InMemoryExporter
    ) -> None:
        """Neither counted, nor looked at."""
        proxy = TelemetryModel(model, telemetry)
        profile = drift_profile(proxy, x, detectors=None)

        assert exporter.value("gangplank_predict_total", model="net") == 0
        assert profile.fingerprint == fingerprint(model)


class Other:
    """Somebody else's detector."""

    def update(self, x: Any, y: Any) -> None:
        """Look at nothing."""

    def reset(self) -> None:
        """Forget nothing."""


class TestFoundAgain:
    """A proxy of the loaded model has the detectors at once."""

    def test_beside_the_model(
        self, model: Any, x: Any, telemetry: Telemetry, exporter: InMemoryExporter, tmp_path: Path
    ) -> None:
        """Given where the model is saved."""
        path = tmp_path / "net.keras"
        fit(model, keras.callbacks.ModelCheckpoint(path), DriftProfileCallback(path, x, detectors=small))

        proxy = TelemetryModel(keras.saving.load_model(path), telemetry, drift=path)
        for _ in range(3):
            proxy.predict(x[:40] * 100, verbose=0)
        telemetry.flush()

        labels = {"model": "net", "detector": "mmd"}
        assert exporter.value("gangplank_predict_drift_reference_matches", **labels) == 1
        assert exporter.value("gangplank_predict_drift_observations_total", **labels) == 120
        assert exporter.value("gangplank_predict_drift_detected_total", **labels) not in (None, 0)

    @pytest.mark.parametrize("given", ["a string", "a profile", "a detector of one"])
    def test_however_it_is_given(
        self, given: str, model: Any, x: Any, telemetry: Telemetry, exporter: InMemoryExporter, tmp_path: Path
    ) -> None:
        """A path, a profile, or detectors made with one."""
        profile = drift_profile(model, x, inputs=True, detectors=small)
        path = str(profile.save(tmp_path / "net.keras"))
        made = FeatureDrift(profile, **{**_SMALL, "window": 10}) if given == "a detector of one" else None
        drift: Any = {"a string": path, "a profile": profile}.get(given, made)

        proxy = TelemetryModel(model, telemetry, drift=drift)

        assert proxy.model is model
        found = exporter.series("gangplank_predict_drift_reference_matches")
        assert [(labels["detector"], value) for labels, value in found] == [("features" if made else "mmd", 1)]

    def test_of_other_weights(
        self, model: Any, x: Any, telemetry: Telemetry, exporter: InMemoryExporter, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A warning, and a metric."""
        profile = drift_profile(model, x, detectors=small)
        fit(model)

        proxy = TelemetryModel(model, telemetry, drift=profile)

        assert proxy.model is model
        assert exporter.value("gangplank_predict_drift_reference_matches", model="net", detector="mmd") == 0
        warnings = [record.getMessage() for record in caplog.records if record.name == "gangplank.drift"]
        assert len(warnings) == 1
        assert f"captured with other weights ({profile.fingerprint}) than the model net has" in warnings[0]

    def test_of_weights_that_cannot_be_read(
        self,
        model: Any,
        x: Any,
        telemetry: Telemetry,
        exporter: InMemoryExporter,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Such as those that are in another process: it is not known, and all else as ever."""
        profile = drift_profile(model, x, detectors=small)
        monkeypatch.setattr(drift_watch, "fingerprint", raising(ValueError("spread over several processes")))

        proxy = TelemetryModel(model, telemetry, drift=profile)
        proxy.predict(x[:40], verbose=0)
        telemetry.flush()

        assert not exporter.series("gangplank_predict_drift_reference_matches")
        assert exporter.value("gangplank_predict_drift_observations_total", model="net", detector="mmd") == 40
        assert "spread over several processes" in caplog.text

    def test_a_reference_of_unknown_weights(self, model: Any, telemetry: Telemetry, exporter: InMemoryExporter) -> None:
        """Says nothing of them."""
        rows = np.random.default_rng(0).normal(size=(200, 3))
        TelemetryModel(model, telemetry, drift=MMDDrift(rows, **_SMALL))

        assert not exporter.series("gangplank_predict_drift_reference_matches")

    def test_there_is_none(self, model: Any, x: Any, tmp_path: Path) -> None:
        """Says where it was looked for."""
        with pytest.raises(ConfigurationError, match=r"drift must be where a model is saved .*net\.drift\.npz"):
            TelemetryModel(model, drift=tmp_path / "net.keras")
        drift_profile(model, x, detectors=None).save(tmp_path / "net.keras")
        with pytest.raises(ConfigurationError, match="got one without"):
            TelemetryModel(model, drift=tmp_path / "net.keras")


class TestCallback:
    """Captures at the end of ``fit``, of the model that is in the file."""

    def test_the_model_in_the_file(self, model: Any, x: Any, tmp_path: Path) -> None:
        """Which may be an earlier one."""
        path = tmp_path / "net.keras"
        first = At("on_epoch_end", lambda: path.exists() or model.save(path))

        fit(model, first, DriftProfileCallback(path, x, detectors=None), epochs=3)

        profile = DriftProfile.load(path)
        saved = keras.saving.load_model(path)
        assert profile.fingerprint == fingerprint(saved) != fingerprint(model)
        np.testing.assert_allclose(profile.predictions, saved.predict(x, verbose=0), rtol=1e-4)

    def test_the_model_at_the_end(self, model: Any, x: Any, tmp_path: Path) -> None:
        """Which is to be saved, over one that is there."""
        path = tmp_path / "net.keras"
        classifier().save(path)

        fit(model, DriftProfileCallback(path, x, detectors=None))
        model.save(path)

        assert DriftProfile.load(path).fingerprint == fingerprint(keras.saving.load_model(path))

    def test_a_file_that_cannot_be_loaded(
        self, model: Any, x: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Such as one of weights alone."""
        path = tmp_path / "net.weights.h5"

        fit(
            model,
            keras.callbacks.ModelCheckpoint(path, save_weights_only=True),
            DriftProfileCallback(path, x, detectors=None),
        )

        assert DriftProfile.load(path).fingerprint == fingerprint(model)
        assert "cannot be loaded" in caplog.text

    def test_goes_wrong(self, model: Any, x: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """And training does not notice."""
        path = tmp_path / "nowhere" / "net.keras"

        fit(model, DriftProfileCallback(path, x[:5]), DriftProfileCallback(path, x, detectors=None))

        assert [r.levelno for r in caplog.records] == [logging.WARNING] * 2
        assert "could not capture a drift profile" in caplog.text

    def test_of_distributed_processes_the_first(
        self, model: Any, x: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else they would write to one file."""
        for rank in ("1", "0"):
            monkeypatch.setenv("RANK", rank)
            monkeypatch.setenv("WORLD_SIZE", "2")
            fit(model, DriftProfileCallback(tmp_path / f"{rank}.keras", x, detectors=None))

        assert [path.name for path in tmp_path.iterdir()] == ["0.drift.npz"]

    def test_a_wrong_argument(self, x: Any) -> None:
        """Is one when it is made."""
        with pytest.raises(TypeError, match="path must be a path, not 3"):
            DriftProfileCallback(3, x)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="detectors must be"):
            DriftProfileCallback("net.keras", x, detectors=ClassDrift.kind)  # type: ignore[arg-type]


def test_training_goes_on_where_it_was(model: Any, x: Any, tmp_path: Path) -> None:
    """Predicting at the end of ``fit`` leaves the model as it was: on JAX, its weights are elsewhere meanwhile."""
    plain = keras.models.clone_model(model)
    plain.set_weights(model.get_weights())
    plain.compile("sgd", "sparse_categorical_crossentropy")
    for layer in (*model.layers, *plain.layers):
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0

    fit(model, DriftProfileCallback(tmp_path / "net.keras", x, detectors=None))
    fit(plain)
    for one in (model, plain):
        fit(one)

    for ours, theirs in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)

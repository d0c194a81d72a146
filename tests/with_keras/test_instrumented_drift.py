"""Drift in what the models of an instrumented Keras predict: nothing in the program's code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import pytest
from keras_suite import data, regression
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from realservers import wait_for
from seen import Seen

from gangplank import ConfigurationError, DriftProfile, KerasInstrumentor, MMDDrift, TelemetryModel, drift_profile

_SMALL: dict[str, Any] = {"window": 20, "ert": 60, "n_streams": 500, "seed": 3}
_ROWS = 400


@pytest.fixture
def instrument() -> Iterator[Callable[..., Seen]]:
    """Instruments Keras with settings, and returns what is seen of it."""
    instrumentor = KerasInstrumentor()
    providers = []

    def begin(**settings: Any) -> Seen:
        reader = InMemoryMetricReader()
        providers.append(MeterProvider([reader], shutdown_on_exit=False))
        instrumentor.instrument(meter_provider=providers[-1], **settings)
        return Seen(reader)

    yield begin
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()
    for provider in providers:
        provider.shutdown()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A model's file, with a profile beside it."""
    path, model = tmp_path / "net.keras", regression()
    model.save(path)
    profile = drift_profile(model, data(_ROWS)[0], detectors=lambda profile: MMDDrift(profile, **_SMALL))
    profile.save(path)
    return path


def looked_at(seen: Seen, **expected: int) -> bool:
    """Wait until detectors have looked at so many observations of each model, and return whether that is all."""

    def found() -> dict[str, float | None]:
        return {model: seen.value("gangplank_predict_drift_observations", model=model) for model in expected}

    wait_for(lambda: found() == expected)
    return seen.value("gangplank_predict_drift_observations") == sum(expected.values())


def test_of_a_model_that_is_loaded(instrument: Callable[..., Seen], saved: Path) -> None:
    """What lies beside its file is found; other models are not looked at."""
    seen = instrument(drift=True)
    x = data(40)[0]
    loaded = keras.models.load_model(str(saved))
    loaded.predict(x, verbose=0)
    loaded.predict_on_batch(x=x)
    loaded(x)
    regression("other").predict(x, verbose=0)

    assert looked_at(seen, net=80)


def test_names_of_load_model_are_what_they_were(instrument: Callable[..., Seen]) -> None:
    """In every module of Keras's."""
    names = [name for name, module in list(sys.modules.items()) if "load_model" in vars(module)]
    before = {name: vars(sys.modules[name])["load_model"] for name in names}
    instrument(drift=True)
    assert keras.models.load_model is keras.saving.load_model is not before["keras.saving"]
    KerasInstrumentor().uninstrument()

    assert {name: vars(sys.modules[name])["load_model"] for name in names} == before
    instrument()
    assert keras.models.load_model is before["keras.models"], "nobody asked for it"


def test_detectors_by_models_names(instrument: Callable[..., Seen], saved: Path) -> None:
    """Given in code: models of one name share them, a proxy's are its own."""
    profile, x = DriftProfile.load(saved), data(40)[0]
    mine = MMDDrift(profile, **_SMALL)
    seen = instrument(drift={"one": saved, "two": {"mine": mine}})
    for name in ("one", "two", "two", "three"):
        regression(name).predict(x, verbose=0)
    proxy = TelemetryModel(regression("one"))
    proxy.predict(x, verbose=0)

    assert looked_at(seen, one=40, two=80)
    assert seen.value("gangplank_predict_drift_observations", model="two", detector="mine") == 80


def test_a_profile_that_cannot_be_read(
    instrument: Callable[..., Seen], saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Is no matter of whoever predicts."""
    DriftProfile.beside(saved).write_bytes(b"nothing")
    seen = instrument(drift=True)
    model = keras.saving.load_model(saved)
    for _ in range(3):
        model.predict(data(8)[0], verbose=0)

    assert seen.value("gangplank_predict", model="net") == 24
    assert caplog.text.count("could not watch a model for drift") == 1
    assert "is no drift profile that can be read" in caplog.text


def test_wrong_settings(instrument: Callable[..., Seen], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Raise in code."""
    with pytest.raises(TypeError, match="drift must be True or False"):
        instrument(drift="mmd")
    with pytest.raises(ConfigurationError, match=r"there is no|No such file"):
        instrument(drift={"net": tmp_path / "net.keras"})
    with pytest.raises(TypeError, match="drift must hold detectors"):
        instrument(drift={"net": [object()]})


def test_by_the_environment(instrument: Callable[..., Seen], saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_KERAS_DRIFT", "true")
    seen = instrument()
    keras.saving.load_model(saved).predict(data(20)[0], verbose=0)

    assert looked_at(seen, net=20)

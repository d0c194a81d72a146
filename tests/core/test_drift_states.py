"""Detectors whose state is kept in a file go on as if nothing had happened."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gangplank import ClassDrift, ConfigurationError, FeatureDrift, MMDDrift
from gangplank.drift.profile import DriftProfile
from gangplank.drift.restoring import restored
from gangplank.drift.states import Calibrated

Rows = npt.NDArray[np.float64]
_SMALL: dict[str, Any] = {"window": 20, "ert": 60, "n_streams": 500, "seed": 3}


def _probabilities(size: int, seed: int) -> Rows:
    return np.random.default_rng(seed).dirichlet(np.ones(3), size)


def _numbers(size: int, seed: int) -> Rows:
    return np.random.default_rng(seed).normal(size=(size, 3)).round(1)


MAKERS: dict[str, Callable[[], Calibrated]] = {
    "mmd": lambda: MMDDrift(_numbers(400, 1), **_SMALL),
    "mmd in blocks, projected": lambda: MMDDrift(_numbers(400, 1), calibration="blocks", project=2, **_SMALL),
    "classes": lambda: ClassDrift(_probabilities(400, 1), **_SMALL),
    "classes by a threshold": lambda: ClassDrift(_probabilities(400, 1)[:, :1], classes=0.3, **_SMALL),
    **{
        f"features, {name}": lambda name=name: FeatureDrift(  # type: ignore[misc]
            _numbers(400, 1), statistic=name, on="predictions", names=["a", "b", "c"], **_SMALL
        )
        for name in ("ks", "psi", "wasserstein", "chi2")
    },
}


def _stream(name: str) -> Rows:
    if name == "classes by a threshold":
        return _probabilities(400, 2)[:, :1]
    return _probabilities(400, 2) if name.startswith("classes") else _numbers(400, 2) + 0.3


def _results(detector: Calibrated, stream: Rows) -> list[Any]:
    return [detector.update(None, batch) for batch in np.array_split(stream, 31)]


@pytest.fixture(params=list(MAKERS))
def name(request: pytest.FixtureRequest) -> str:
    """Return each of the detectors' names."""
    return str(request.param)


def test_goes_on_from_a_file_as_if_nothing_had_happened(name: str, tmp_path: Path) -> None:
    """From the middle of a stream, through a file, to the same detections."""
    stream, detector = _stream(name), MAKERS[name]()
    _results(detector, stream[:117])
    path = DriftProfile(predictions=stream, detectors={"one": detector.state()}).save(tmp_path / "net.keras")

    again = restored(DriftProfile.load(path).detectors["one"])

    assert type(again) is type(detector)
    assert (again.name, again.on, again.ert, again.schedule) == (
        *(detector.name, detector.on, detector.ert),
        detector.schedule,
    )
    expected = _results(detector, stream[117:])
    assert _results(again, stream[117:]) == expected
    assert sum(result.drift_detected for result in expected) > 0, "nothing was reset on the way"


def test_a_state_is_not_what_becomes_of_the_detector(name: str) -> None:
    """What is kept does not change with it, and can be taken up by it."""
    stream, detector = _stream(name), MAKERS[name]()
    state = detector.state()
    first = _results(detector, stream)

    detector.load(state)

    assert _results(detector, stream) == first


def test_can_be_pickled(name: str) -> None:
    """A proxy takes its detectors along when it is pickled."""
    stream, detector = _stream(name), MAKERS[name]()
    again = pickle.loads(pickle.dumps(detector))  # noqa: S301 - its own

    assert _results(again, stream) == _results(detector, stream)


def test_a_function_is_given_again() -> None:
    """No state holds a function."""
    detector = MMDDrift(_numbers(400, 1), on=lambda x, y: x + y, **_SMALL)
    state = detector.state()

    with pytest.raises(ConfigurationError, match="on must be given"):
        MMDDrift.from_state(state)
    again = MMDDrift.from_state(state, on=lambda x, y: x + y)
    stream = _numbers(100, 2)

    assert again.update(stream, stream) == detector.update(stream, stream)
    detector.load(state)  # which keeps the function that it has
    assert callable(detector.on)


def test_a_function_that_makes_classes_is_in_no_state() -> None:
    """Nor one that makes classes."""
    state = ClassDrift(_probabilities(400, 1), classes=lambda rows: rows.argmin(axis=1), **_SMALL).state()

    with pytest.raises(ConfigurationError, match="classes was a function"):
        ClassDrift.from_state(state)


def test_says_what_is_wrong_with_a_state() -> None:
    """The errors name what is missing, or allowed."""
    state = MMDDrift(_numbers(400, 1), **_SMALL).state()

    with pytest.raises(ConfigurationError, match=r"kind 'classes', got 'mmd'"):
        ClassDrift.from_state(state)
    with pytest.raises(ConfigurationError, match=r"no MMDDrift's, or not whole: KeyError\('points'\)"):
        MMDDrift.from_state({key: value for key, value in state.items() if key != "points"})
    with pytest.raises(ConfigurationError, match="no MMDDrift's"):
        MMDDrift.from_state({**state, "window": None})
    with pytest.raises(ConfigurationError, match=r"one of 'mmd', 'classes', 'features', got 'other'"):
        restored({**state, "kind": "other"})
    with pytest.raises(TypeError, match="on must be"):
        MMDDrift.from_state(state, on="outputs")  # type: ignore[arg-type]

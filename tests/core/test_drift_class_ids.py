"""What ClassDrift takes for classes, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gangplank.drift.classes import ClassDrift
from gangplank.drift.result import DriftResult
from gangplank.errors import ConfigurationError

Ids = npt.NDArray[np.int64]


def classes(number: int, seed: int) -> Ids:
    """Return what a model of ten classes predicts."""
    return np.random.default_rng(seed).integers(10, size=number)


@pytest.fixture(scope="module")
def detector() -> ClassDrift:
    """Return a detector, which tests reset."""
    return ClassDrift(classes(4000, 0), ert=5000, window=200, seed=0)


def probabilities(ids: Ids) -> npt.NDArray[Any]:
    """Return one row for each class, in which it has the most."""
    return np.eye(10, dtype=np.float32)[ids] / 2 + np.float32(0.05)


@pytest.mark.parametrize(
    ("settings", "batch"),
    [
        ({}, probabilities),
        ({}, lambda ids: ids.astype(np.float32)),
        ({}, lambda ids: ids[:, np.newaxis]),
        ({}, list),
        ({"classes": np.char.str_len}, lambda ids: np.array(["x" * one for one in ids])),
        ({"on": lambda x, y: y["scores"]}, lambda ids: {"scores": probabilities(ids)}),
    ],
)
def test_classes_come_in_many_forms(detector: ClassDrift, settings: dict[str, Any], batch: Any) -> None:
    """They make the detector that plain numbers make."""
    reference, stream = classes(4000, 0), classes(1000, 1) % 9
    given = reference if "on" in settings else batch(reference)
    other = ClassDrift(given, ert=5000, window=200, seed=0, **settings)
    detector.reset()
    assert other.threshold == detector.threshold
    assert other.update(None, batch(stream)) == detector.update(None, stream)


def test_a_threshold_makes_two_classes() -> None:
    """Of one probability."""
    random = np.random.default_rng(0)
    detector = ClassDrift(random.random((4000, 1)), ert=10_000, window=200, classes=0.5, seed=0)
    plain = ClassDrift(random.permutation(np.repeat([0, 1], 2000)), ert=10_000, window=200, seed=0)
    scores = random.random(200) ** 2
    found = detector.update(None, scores).test_statistic
    assert found == pytest.approx(plain.update(None, (scores > 0.5).astype(int)).test_statistic, rel=0.5)
    assert detector.update(None, np.full((400, 1), 0.9)).drift_detected >= 1


def test_inputs_can_be_looked_at() -> None:
    """And not the predictions."""
    detector = ClassDrift(classes(4000, 0), ert=5000, window=200, on="inputs", seed=0)
    assert detector.update(classes(200, 1), "nothing").observations == 200


def test_rows_that_are_not_finite_are_skipped_and_counted(detector: ClassDrift) -> None:
    """They are no observations."""
    batch = probabilities(classes(100, 1))
    detector.reset()
    expected = detector.update(None, batch)
    batch = np.insert(batch, [3, 50], np.nan, axis=0)
    batch = np.insert(batch, 70, np.inf, axis=0)
    detector.reset()
    found = detector.update(None, batch)
    assert (found.observations, found.skipped) == (100, 3)
    assert found.test_statistic == expected.test_statistic


def test_the_same_in_a_reference_is_told(detector: ClassDrift, caplog: pytest.LogCaptureFixture) -> None:
    """And makes no difference."""
    reference = np.insert(classes(4000, 0).astype(np.float64), 7, np.nan)
    other = ClassDrift(reference, ert=5000, window=200, seed=0)
    assert "Of the reference, 1 of 4001 rows are left out" in caplog.text
    assert other.threshold == detector.threshold


@pytest.mark.parametrize("empty", [[], np.empty(0), np.empty((0, 10)), np.empty((0, 10), np.float32)])
def test_an_empty_batch_is_nothing(detector: ClassDrift, empty: Any) -> None:
    """And no error."""
    detector.reset()
    assert detector.update(None, empty) == DriftResult(threshold=detector.threshold, window_fill=0.0)


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (["a", "b"], TypeError, r"predictions must hold numbers, not <U1 \(its shape is \(2,\)\)"),
        ({"scores": [1]}, TypeError, "predictions must hold numbers, not object"),
        ([np.zeros(3), np.zeros(3)], TypeError, "predictions must be one array, not a list of 2"),
        ([[0.5, 0.5], [1.0]], ConfigurationError, "predictions must be one array, with rows of one width"),
        ([0.5, 1.0], ConfigurationError, "predictions must be whole numbers, .* got 0.5; .* threshold such as 0.5"),
        ([1e300], ConfigurationError, "predictions must be whole numbers"),
        (np.zeros((2, 7)), ConfigurationError, "predictions must have 10 in a row, got 7"),
        (np.zeros((2, 2, 10)), ConfigurationError, r"predictions must have the shape .* got \(2, 2, 10\)"),
        (np.zeros((2, 0)), ConfigurationError, r"predictions must have the shape .* got \(2, 0\)"),
        (3, ConfigurationError, r"predictions must have the shape .* got \(\)"),
    ],
)
def test_what_are_no_classes_is_refused(detector: ClassDrift, batch: Any, error: type[Exception], message: str) -> None:
    """With the name, what it was, and what is allowed; the detector goes on."""
    detector.reset()
    detector.update(None, probabilities(classes(20, 0)))
    with pytest.raises(error, match=message):
        detector.update(None, batch)
    assert detector.update(None, classes(30, 1)).p_value is not None

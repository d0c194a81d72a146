"""Detectors of other libraries: River's and SciPy's are the real ones."""

from __future__ import annotations

import importlib
import math
from typing import Any

import needs
import numpy as np
import pytest

from gangplank import ConfigurationError
from gangplank.drift.foreign import AlibiDrift, BatchTest, RiverDrift


def real(module: str) -> Any:
    """Return a module that the test needs."""
    needs.module(module)
    return importlib.import_module(module)


def first(_x: Any, y: Any) -> Any:
    """Return the first column of what was predicted."""
    return np.asarray(y)[:, 0]


def stream(mean: float, size: int, seed: int = 0) -> Any:
    """Return predictions of two columns, the first of which has that mean."""
    return np.random.default_rng(seed).normal(mean, 0.1, (size, 2))


@pytest.mark.parametrize("kind", ["ADWIN", "PageHinkley", "KSWIN"])
def test_rivers_detectors_find_what_they_find_by_themselves(kind: str) -> None:
    """Number by number, however the stream is cut."""
    module = real("river.drift")
    options = {"seed": 1} if kind == "KSWIN" else {}
    predictions = np.concatenate([stream(0.0, 600), stream(1.0, 600)])
    alone, expected = getattr(module, kind)(**options), 0
    for number in predictions[:, 0].tolist():
        alone.update(number)
        expected += bool(alone.drift_detected)
    ours = RiverDrift(getattr(module, kind)(**options), first)
    results = [ours.update(None, part) for part in np.array_split(predictions, 37)]
    assert sum(result.drift_detected for result in results) == expected >= 1
    assert sum(result.observations for result in results) == 1200
    assert ours.name == kind.lower()


def test_what_is_not_finite_is_not_shown_to_river() -> None:
    """It would never forget it."""
    predictions = stream(0.0, 100)
    predictions[::10, 0] = [np.nan, np.inf] * 5
    result = RiverDrift(real("river.drift").PageHinkley(), first).update(None, predictions)
    assert (result.observations, result.skipped) == (90, 10)


def test_river_begins_again() -> None:
    """With the settings that its detector was given, and nothing of what it saw."""
    detector = RiverDrift(real("river.drift").PageHinkley(min_instances=50, threshold=2.0), first)
    once = [detector.update(None, stream(mean, 200)).drift_detected for mean in (0.0, 1.0)]
    detector.reset()
    assert [detector.update(None, stream(mean, 200)).drift_detected for mean in (0.0, 1.0)] == once
    assert sum(once) >= 1


def test_a_test_of_scipys_tests_each_window_once() -> None:
    """What it says of a window is what it says of it anywhere; a part of one waits for the rest."""
    ks_2samp = real("scipy.stats").ks_2samp
    reference = stream(0.0, 500, seed=1)[:, 0]
    predictions = np.concatenate([stream(0.0, 250, seed=2), stream(0.3, 270, seed=3)])[:, 0]
    detector = BatchTest(ks_2samp, reference, window=100, alpha=0.001)
    results = [detector.update(None, part) for part in np.array_split(predictions, 23)]
    expected = [ks_2samp(reference, window) for window in predictions[:500].reshape(5, 100)]
    assert [one.pvalue < 0.001 for one in expected] == [False, False, True, True, True]
    assert sum(result.drift_detected for result in results) == 3
    assert results[-1].p_value == pytest.approx(expected[-1].pvalue)
    assert results[-1].test_statistic == pytest.approx(expected[-1].statistic)
    assert detector.ert == pytest.approx(100_000)
    assert detector.name == "ks_2samp"


@pytest.mark.parametrize(
    ("returned", "expected"),
    [(0.25, (None, 0.25)), ((3.0, 0.25), (3.0, 0.25)), ((np.array([1.0, 2.0]), 0.25), (None, 0.25))],
    ids=str,
)
def test_what_a_test_may_return(returned: Any, expected: Any) -> None:
    """A p-value, or a statistic and a p-value."""
    result = BatchTest(lambda _reference, _window: returned, [[1.0, 2.0]], window=2).update(None, np.zeros((2, 2)))
    assert (result.test_statistic, result.p_value) == expected


@pytest.mark.parametrize(
    ("returned", "error", "said"),
    [
        (np.array([0.5, 0.001]), TypeError, "test must return one p-value"),
        ((3.0, None), TypeError, "test must return one p-value, not None"),
        (math.nan, ConfigurationError, "a p-value from 0 to 1, got nan"),
        (3.0, ConfigurationError, "a p-value from 0 to 1, got 3.0"),
    ],
    ids=str,
)
def test_what_is_no_p_value_is_not_taken_for_no_drift(returned: Any, error: type[Exception], said: str) -> None:
    """SciPy returns one for each column."""
    with pytest.raises(error, match=said):
        BatchTest(lambda _reference, _window: returned, [[1.0, 2.0]], window=2).update(None, np.zeros((2, 2)))


def test_several_windows_in_one_batch_are_each_tested() -> None:
    """And what is left of it waits, until a reset."""
    seen: list[Any] = []

    def test(_reference: Any, window: Any) -> float:
        seen.append(window.tolist())
        return 0.0

    detector = BatchTest(test, [0.0], window=2)
    assert detector.update(None, [1.0, 2.0, 3.0, 4.0, 5.0]).drift_detected == 2
    detector.reset()
    assert detector.update(None, [6.0]).drift_detected == 0
    assert detector.update(None, [7.0]).drift_detected == 1
    assert seen == [[1.0, 2.0], [3.0, 4.0], [6.0, 7.0]]


class Online:
    """What alibi-detect's online detectors look like from outside; it is not there to be tested with."""

    ert = 150

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.resets = 0

    def predict(self, x: Any) -> dict[str, Any]:
        """Detect drift at every third sample since it began anew."""
        self.seen.append(x)
        drift = len(self.seen) - 3 * self.resets == 3
        return {"data": {"is_drift": int(drift), "test_stat": float(len(self.seen)), "threshold": 2.5}, "meta": {}}

    def reset_state(self) -> None:
        """Begin anew."""
        self.resets += 1


def test_alibis_detectors_are_asked_sample_by_sample() -> None:
    """A detection counts once, and not until the window is empty again."""
    online = Online()
    detector = AlibiDrift(online, on="inputs")
    result = detector.update(np.arange(14.0).reshape(7, 2), None)
    assert [sample.tolist() for sample in online.seen] == np.arange(14.0).reshape(7, 2).tolist()
    assert (result.drift_detected, result.test_statistic, result.threshold, result.observations) == (2, 7.0, 2.5, 7)
    assert online.resets == 2
    assert (detector.ert, detector.name) == (150, "online")


def test_alibis_detectors_are_not_shown_what_is_not_finite() -> None:
    """It would stay in their window."""
    online = Online()
    result = AlibiDrift(online).update(None, np.array([[1.0, 2.0], [math.nan, 2.0], [3.0, math.inf]]))
    assert [sample.tolist() for sample in online.seen] == [[1.0, 2.0]]
    assert (result.observations, result.skipped) == (1, 2)
    assert AlibiDrift(online).update(None, np.zeros((0, 2))).observations == 0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RiverDrift(object(), first), TypeError, "detector must have update"),
        (lambda: RiverDrift(Online(), first), TypeError, "detector must have update"),
        (lambda: AlibiDrift(object()), TypeError, "detector must have predict"),
        (lambda: AlibiDrift(Online(), on="outputs"), TypeError, "on must be 'predictions'"),  # type: ignore[arg-type]
        (lambda: BatchTest(None, [1.0], window=2), TypeError, "test must be callable"),  # type: ignore[arg-type]
        (lambda: BatchTest(max, [1.0], window=0), ConfigurationError, "window must be at least 1"),
        (lambda: BatchTest(max, [1.0], window=2, alpha=0), ConfigurationError, "alpha must be above 0"),
        (lambda: BatchTest(max, ["a"], window=2), TypeError, "reference must hold numbers"),
    ],
)
def test_what_is_not_allowed_is_said_at_construction(make: Any, error: type[Exception], message: str) -> None:
    """With the name of the argument."""
    with pytest.raises(error, match=message):
        make()

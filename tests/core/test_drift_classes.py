"""ClassDrift: what SciPy says of the same window, at the rate that was asked for, however batches are cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from gangplank.drift.classes import ClassDrift
from gangplank.drift.result import DriftResult
from gangplank.errors import ConfigurationError

Ids = npt.NDArray[np.int64]
MIX = np.array([4, 6, 5, 5, 5, 4, 6, 5, 5, 5]) / 50


def classes(number: int, seed: int, mix: npt.NDArray[np.float64] = MIX) -> Ids:
    """Return what a model of ten classes predicts."""
    return np.random.default_rng(seed).choice(len(mix), p=mix, size=number)


def without_zero(number: int, seed: int) -> Ids:
    """Return the same when class 0 has gone."""
    return classes(number, seed, np.append(0, MIX[1:] / MIX[1:].sum()))


@pytest.mark.parametrize("seed", range(4))
def test_of_two_classes_the_threshold_is_no_value_that_the_statistic_takes(seed: int) -> None:
    """Else rounding would decide whether that value is a drift, and the run time would be as rounding has it."""
    reference = classes(5000, seed, np.array([0.7, 0.3]))
    binary = ClassDrift(reference, ert=1000, window=100, seed=seed)
    expected = np.bincount(reference)
    taken = [
        stats.chi2_contingency([[100 - ones, ones], expected], correction=False).statistic for ones in range(1, 100)
    ]
    assert min(abs(statistic - binary.threshold) for statistic in taken) > 1e-3


@pytest.fixture(scope="module")
def detector() -> ClassDrift:
    """Return a detector, which tests reset."""
    return ClassDrift(classes(4000, 0), ert=5000, window=200, seed=0)


def detections(detector: ClassDrift, stream: Ids, sizes: list[int]) -> tuple[list[int], DriftResult]:
    """Return how many drifts were detected up to the end of each batch, and the last result."""
    detector.reset()
    found, total = [], 0
    result = detector.update(None, stream[:0])
    for batch in np.split(stream, np.cumsum(sizes)):
        result = detector.update(None, batch)
        total += result.drift_detected
        found.append(total)
    return found, result


def drifting() -> Ids:
    """Return a stream that drifts twice, each time for long."""
    return np.concatenate([classes(600, 1), without_zero(900, 2), classes(500, 3), np.full(333, 4)])


def test_the_statistic_is_scipys_at_each_evaluation(detector: ClassDrift) -> None:
    """Of the same window, which grows from nothing, slides, and is emptied by a detection."""
    detector.reset()
    stream, reference = drifting(), np.bincount(classes(4000, 0), minlength=10)
    begin, events = 0, 0
    for end in range(10, len(stream) + 1, 10):
        result = detector.update(None, stream[end - 10 : end])
        window = stream[max(begin, end - 200) : end]
        if len(window) < 50:
            assert not result.drift_detected
            continue
        expected = stats.chi2_contingency([np.bincount(window, minlength=10), reference], correction=False)
        assert result.test_statistic == pytest.approx(expected.statistic, rel=1e-9)
        assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9)
        assert result.drift_detected == (expected.statistic > detector.threshold)
        if result.drift_detected:
            begin, events = end, events + 1
    assert events > 3


@pytest.fixture(scope="module")
def singly(detector: ClassDrift) -> tuple[list[int], DriftResult]:
    """Return what is found of a drifting stream one observation at a time."""
    return detections(detector, drifting(), [1] * len(drifting()))


@given(sizes=st.lists(st.integers(0, 400), max_size=30))
def test_batches_make_no_difference(
    detector: ClassDrift, singly: tuple[list[int], DriftResult], sizes: list[int]
) -> None:
    """Any cutting detects the same drifts after the same observations, and ends with the same numbers."""
    stream, (one_by_one, last) = drifting(), singly
    found, result = detections(detector, stream, sizes)
    ends = np.minimum(np.cumsum([*sizes, len(stream)]), len(stream))
    assert found == [one_by_one[end - 1] if end else 0 for end in ends]
    assert (result.p_value, result.test_statistic) == (last.p_value, last.test_statistic)


def test_nothing_is_said_of_a_window_that_holds_little() -> None:
    """Five for each class, at least, of half a window here; nor after a reset."""
    detector = ClassDrift(classes(4000, 0), ert=5000, window=100, seed=0)
    result = detector.update(None, np.zeros(49, np.int64))
    expected = DriftResult(threshold=detector.threshold, observations=49, window_fill=result.window_fill)
    assert result == expected
    assert detector.update(None, np.zeros(1, np.int64)).drift_detected == 1
    detector.reset()
    assert detector.update(None, np.zeros(49, np.int64)).p_value is None


def test_false_alarms_come_as_seldom_as_asked() -> None:
    """Four references, 100 alarms each, from an empty window each time.

    The mean of four run times varies by 6 % (chance of 400 alarms 5 %, of four thresholds and references 3 %).
    """
    run_times = []
    for seed in range(4):
        detector = ClassDrift(classes(4000, seed), ert=400, window=100, seed=seed)
        events = sum(
            detector.update(None, classes(1000, 100 + seed * 1000 + part)).drift_detected for part in range(40)
        )
        run_times.append(40_000 / events)
    assert np.mean(run_times) == pytest.approx(400, rel=0.15)


def test_p_values_are_uniform_without_drift() -> None:
    """Of 500 windows that have nothing in common."""
    detector = ClassDrift(classes(50_000, 0), ert=5000, window=500, seed=0)
    p_values = []
    for seed in range(1, 501):
        detector.reset()
        p_values.append(detector.update(None, classes(500, seed)).p_value)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_a_class_that_has_gone_is_seen_soon() -> None:
    """One of ten, after a window without drift: within 0.6 of a window on average, at an alarm in 100."""
    delays = []
    for seed in range(20):
        detector = ClassDrift(classes(20_000, seed), ert=100_000, seed=seed, n_streams=2000)
        detector.update(None, classes(1000, 1000 + seed))
        stream = without_zero(3000, 2000 + seed)
        found = [detector.update(None, stream[end - 50 : end]).drift_detected for end in range(50, 3001, 50)]
        delays.append(50 * (found.index(1) + 1))
    assert np.mean(delays) < 600


def test_how_far_the_window_is_filled() -> None:
    """By whole strides; it is empty after a reset."""
    detector = ClassDrift(classes(20_000, 0), ert=100_000, seed=0, n_streams=2000)
    filled = [detector.update(None, classes(260, seed)).window_fill for seed in range(5)]
    assert filled == [0.25, 0.5, 0.75, 1.0, 1.0]
    detector.reset()
    assert detector.update(None, classes(10, 6)).window_fill == 0


def test_an_unseen_class_is_seen() -> None:
    """A hundredth of what comes is of a class that the reference has not: ten observations of it are enough."""
    detector = ClassDrift(classes(20_000, 0), ert=100_000, seed=0, n_streams=2000)
    stream = classes(2000, 1)
    stream[1000::100] = 10
    quiet, drifted = (detector.update(None, part) for part in np.split(stream, 2))
    assert not quiet.drift_detected
    assert drifted.drift_detected


def test_one_odd_class_is_no_drift() -> None:
    """Once in a thousand, when the reference has none in 20,000: it may well be chance."""
    detector = ClassDrift(classes(20_000, 0), ert=100_000, seed=0, n_streams=2000)
    stream = classes(1000, 1)
    stream[500] = 10
    assert not detector.update(None, stream).drift_detected


def test_rare_and_unseen_classes_are_one() -> None:
    """Those of which a window holds fewer than five, wherever among the others they are."""
    reference = np.repeat([0, 7, 2, 3], [4000, 3900, 60, 40])
    detector = ClassDrift(reference, ert=10_000, window=200, seed=0)
    stream = np.repeat([0, 7, 2, 5, 9, -1], [94, 100, 2, 1, 2, 1])
    expected = stats.chi2_contingency([[94, 100, 6], [4000, 3900, 100]], correction=False)
    result = detector.update(None, np.random.default_rng(0).permutation(stream))
    assert result.test_statistic == pytest.approx(expected.statistic, rel=1e-9)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9)


def test_a_reference_of_one_class() -> None:
    """Nothing else: no drift. A few others: one."""
    detector = ClassDrift(np.zeros(4000), ert=10_000, window=200, seed=0)
    result = detector.update(None, np.zeros(100_000))
    assert (result.drift_detected, result.p_value) == (0, 1.0)
    assert result.test_statistic == pytest.approx(0, abs=1e-9)
    assert detector.update(None, np.repeat([0, 1], [180, 20])).drift_detected >= 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"reference": classes(1000, 0)}, ConfigurationError, "at least 8 times .* 200, got 1000"),
        ({"reference": []}, ConfigurationError, "at least 8 times .* 200, got 0"),
        (
            {"reference": np.arange(4000)},
            ConfigurationError,
            "of each of 4000, fewer than min_expected=5 .* at least 20000",
        ),
        ({"classes": "largest"}, TypeError, "classes must be 'argmax', a threshold or a function, not 'largest'"),
        ({"classes": True}, TypeError, "classes must be 'argmax'"),
        ({"classes": float("nan")}, ConfigurationError, "classes must be a finite threshold, got nan"),
        (
            {"classes": 0.5, "reference": np.zeros((4000, 2))},
            ConfigurationError,
            "reference must have 1 in a row, got 2",
        ),
        ({"on": "outputs"}, TypeError, "on must be 'predictions', 'inputs' or a function of both, not 'outputs'"),
        ({"ert": 100}, ConfigurationError, "ert must be at least the window, 200, got 100"),
        ({"min_expected": 0}, ConfigurationError, "min_expected must be at least 1, got 0"),
        ({"stride": 7}, ConfigurationError, "stride must divide the window, 200, got 7"),
        ({"n_streams": 3}, ConfigurationError, "n_streams must be at least 42"),
        ({"seed": -1}, ConfigurationError, "seed must be at least 0, got -1"),
        ({"name": ""}, ConfigurationError, "name must not be empty"),
    ],
)
def test_wrong_settings_are_refused(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    """At construction."""
    with pytest.raises(error, match=message):
        ClassDrift(**{"reference": classes(4000, 0), "ert": 5000, "window": 200, **arguments})


def test_a_seed_makes_the_same_threshold() -> None:
    """Without one, it differs."""
    same, again, other = (ClassDrift(classes(4000, 0), ert=5000, window=200, seed=seed) for seed in (1, 1, None))
    assert same.threshold == again.threshold != other.threshold
    assert (same.name, same.schedule.stride) == ("classes", 10)

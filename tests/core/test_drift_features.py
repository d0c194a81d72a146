"""FeatureDrift: what SciPy says of the same window, at the rate that was asked for, and which columns it was."""

from __future__ import annotations

import math
import pickle
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from gangplank.drift.column_statistics import Name
from gangplank.drift.features import FeatureDrift
from gangplank.drift.result import DriftResult
from gangplank.errors import ConfigurationError

Rows = npt.NDArray[np.float64]
Cells = npt.NDArray[np.intp]
NAMES = ("even", "twin", "bits", "none", "relu")
STATISTICS: tuple[Name, ...] = get_args(Name)


def rows(number: int, seed: int) -> Rows:
    """Return columns of several kinds; the second depends on the first."""
    random = np.random.default_rng(seed)
    even = random.normal(size=number)
    twin = even + random.normal(0, 0.3, number)
    bits = random.integers(0, 2, number)
    return np.column_stack([even, twin, bits, np.full(number, 3.0), np.maximum(random.normal(size=number), 0)])


def drifting() -> Rows:
    """Return a stream that drifts twice, each time for long, and not in the same column."""
    stream = rows(2333, 1)
    stream[600:1100, 0] += 1.5
    stream[1700:, 2] = 1
    return stream


@pytest.fixture(scope="module", params=STATISTICS)
def detector(request: pytest.FixtureRequest) -> FeatureDrift:
    """Return a detector, which tests reset."""
    return FeatureDrift(rows(4000, 0), statistic=request.param, ert=5000, window=200, names=NAMES, seed=0)


def scipys(detector: FeatureDrift, window: Rows, reference: Rows) -> Rows:
    """Return each column's statistic of its cells, scaled as the detector does."""
    name = detector._statistic.name
    cells = [detector._bins.of(part).T for part in (window, reference)]
    places = np.zeros((5, 1))
    if name == "wasserstein":
        places = np.column_stack([places, detector._bins.distances(reference).cumsum(axis=1)])
    found = np.array([scipys_of_cells(name, *both) for both in zip(places, *cells, strict=True)])
    noise = 1 / len(window) + 1 / len(reference)
    if name in ("ks", "wasserstein"):
        return np.asarray(found / np.sqrt(noise))
    return np.sqrt(found / (noise if name == "psi" else 1))


def scipys_of_cells(name: Name, places: Rows, one: Cells, other: Cells) -> float:
    """Return what SciPy makes of the cells of a window and of those of the reference."""
    if name == "ks":
        return float(stats.ks_2samp(one, other, method="asymp").statistic)
    if name == "wasserstein":
        return float(stats.wasserstein_distance(places[one], places[other]))
    counts = [np.bincount(cells, minlength=65).astype(np.float64) for cells in (one, other)]
    if name == "chi2":
        return pearson(*counts)
    raised = [table / len(cells) + 0.5 / len(one) for table, cells in zip(counts, (one, other), strict=False)]
    return float(stats.entropy(*raised) + stats.entropy(*reversed(raised))) * float(raised[0].sum())


def pearson(one: Rows, other: Rows) -> float:
    """Return the chi-square, in which nothing is divided by less than 1."""
    table = np.vstack([one, other])[:, one + other > 0]
    expected = stats.contingency.expected_freq(table)
    return float(((table - expected) ** 2 / np.maximum(expected, 1)).sum())


def test_the_statistic_is_scipys_at_each_evaluation(detector: FeatureDrift) -> None:
    """Of the same window, which grows from nothing, slides, and is emptied by a detection."""
    detector.reset()
    stream, reference = drifting(), rows(4000, 0)
    begin, columns = 0, set[str]()
    for end in range(10, len(stream) + 1, 10):
        result = detector.update(stream[end - 10 : end], None)
        window = stream[max(begin, end - 200) : end]
        if len(window) < 50:
            assert not result.drift_detected
            continue
        raw = scipys(detector, window, reference)
        expected = (raw - detector._statistic.mean) / detector._statistic.deviation
        assert result.test_statistic == pytest.approx(expected.max(), rel=1e-5, abs=1e-5)
        assert result.drift_detected == (expected.max() > detector.threshold)
        if result.drift_detected:
            begin, columns = end, columns | set(result.columns)
            worst = np.argsort(-expected)[: np.count_nonzero(expected > detector.threshold)]
            assert result.columns == tuple(NAMES[index] for index in worst)
    assert {"even", "bits"} <= columns


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(0, 400), max_size=30))
def test_batches_make_no_difference(
    detector: FeatureDrift, singly: tuple[list[int], DriftResult], sizes: list[int]
) -> None:
    """Any cutting detects the same drifts after the same rows, and ends with the same numbers."""
    stream, (one_by_one, last) = drifting(), singly
    found, result = detections(detector, stream, sizes)
    ends = np.minimum(np.cumsum([*sizes, len(stream)]), len(stream))
    assert found == [one_by_one[end - 1] if end else 0 for end in ends]
    assert one_by_one[-1] > 3
    assert (result.p_value, result.test_statistic) == (last.p_value, last.test_statistic)


@pytest.fixture(scope="module")
def singly(detector: FeatureDrift) -> tuple[list[int], DriftResult]:
    """Return what is found of a drifting stream one row at a time."""
    return detections(detector, drifting(), [1] * len(drifting()))


def detections(detector: FeatureDrift, stream: Rows, sizes: list[int]) -> tuple[list[int], DriftResult]:
    """Return how many drifts were detected up to the end of each batch, and the last result."""
    detector.reset()
    found, total = [], 0
    result = detector.update(stream[:0], None)
    for batch in np.split(stream, np.cumsum(sizes)):
        result = detector.update(batch, None)
        total += result.drift_detected
        found.append(total)
    return found, result


@pytest.mark.parametrize("statistic", STATISTICS)
def test_false_alarms_come_as_seldom_as_asked(statistic: Name) -> None:
    """Three references, 100 alarms each, of columns of all kinds, from an empty window each time.

    The mean of three run times varies by 7 % (chance of 300 alarms 6 %, of three thresholds and references 4 %).
    """
    run_times = []
    for seed in range(3):
        detector = FeatureDrift(rows(4000, seed), statistic=statistic, ert=400, window=100, seed=seed)
        events = sum(detector.update(rows(1000, 1000 * seed + part), None).drift_detected for part in range(100, 140))
        run_times.append(40_000 / events)
    assert np.mean(run_times) == pytest.approx(400, rel=0.2)


def test_p_values_are_uniform_without_drift() -> None:
    """Jointly for all columns, of 400 windows that have nothing in common."""
    detector = FeatureDrift(rows(40_000, 0), ert=10_000, window=400, seed=0)
    p_values = []
    for seed in range(1, 401):
        detector.reset()
        p_values.append(detector.update(rows(400, seed), None).p_value)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_many_equal_columns_are_no_reason_for_caution() -> None:
    """Twenty copies of one column have the threshold of one; twenty columns of chance have a higher one."""
    one, others = np.random.default_rng(0).normal(size=(2, 2000, 20))
    single, copies, all_others = (
        FeatureDrift(columns, ert=2000, window=100, n_streams=1000, seed=0).threshold
        for columns in (one[:, :1], np.repeat(one[:, :1], 20, axis=1), others)
    )
    assert copies == pytest.approx(single, rel=0.05)
    assert all_others > single + 0.5


def test_a_drift_is_seen_soon_and_its_column_told(detector: FeatureDrift) -> None:
    """Small values go from one of five columns, after a window without drift: three quarters of a window are enough."""
    delays = []
    for seed in range(10, 20):
        detector.reset()
        detector.update(rows(200, seed), None)
        stream = rows(1000, seed + 1000)
        stream[:, 4] = np.maximum(stream[:, 4], 0.3)
        found = [detector.update(stream[end - 10 : end], None) for end in range(10, 1001, 10)]
        first = next(index for index, result in enumerate(found) if result.drift_detected)
        assert "relu" in found[first].columns
        delays.append(10 * (first + 1))
    assert np.mean(delays) <= 150


def test_a_pickled_detector_goes_on_where_it_was(detector: FeatureDrift) -> None:
    """Whatever its statistic, as a worker of another process needs it."""
    stream = drifting()
    detections(detector, stream[:700], [1] * 700)
    copied = pickle.loads(pickle.dumps(detector))  # noqa: S301 - our own
    assert copied.update(stream[700:], None) == detector.update(stream[700:], None)


def test_a_constant_column_tells_new_values(detector: FeatureDrift) -> None:
    """One is chance; ten are not."""
    for new, detected in ((1, False), (10, True)):
        detector.reset()
        quiet = rows(200, 5)
        assert not detector.update(quiet, None).drift_detected
        quiet[: 19 * new : 19, 3] = 4
        result = detector.update(quiet, None)
        assert bool(result.drift_detected) is detected
        assert ("none" in result.columns) is detected


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_reference_of_equal_rows(statistic: Name) -> None:
    """Nothing else: no drift. Others: a drift, in all columns, of which ten are told."""
    equal = np.full((4000, 12), 0.1)
    detector = FeatureDrift(equal, statistic=statistic, ert=5000, window=200, seed=0)
    result = detector.update(np.tile(equal, (5, 1)).astype(np.float32), None)
    assert (result.drift_detected, result.p_value) == (0, 1.0)
    result = detector.update(np.zeros((200, 12)), None)
    assert result.drift_detected
    assert len(result.columns) == 10


def test_nothing_is_said_of_a_window_that_holds_little(detector: FeatureDrift) -> None:
    """A quarter of it, at least; nor after a reset."""
    detector.reset()
    result = detector.update(rows(49, 1), None)
    expected = DriftResult(threshold=detector.threshold, observations=49, window_fill=result.window_fill)
    assert result == expected
    assert detector.update(rows(1, 2), None).p_value is not None
    detector.reset()
    assert detector.update(rows(49, 1), None).test_statistic is None


def test_rows_that_are_not_finite_are_skipped_and_counted(detector: FeatureDrift) -> None:
    """They are no observations."""
    batch = rows(100, 1)
    detector.reset()
    expected = detector.update(batch, None)
    bad = rows(3, 2)
    bad[[0, 1, 2], [0, 2, 4]] = math.nan, math.inf, -math.inf
    detector.reset()
    found = detector.update(np.insert(batch, [3, 50, 70], bad, axis=0), None)
    assert (found.observations, found.skipped) == (100, 3)
    assert found.test_statistic == expected.test_statistic


def test_any_shape_and_source_of_rows() -> None:
    """Images are flattened, one column is one, and a function chooses."""
    random = np.random.default_rng(0)
    images = FeatureDrift(random.random((2000, 2, 3)), ert=1000, window=100, seed=0)
    assert images.update(random.random((100, 2, 3)), None).observations == 100
    column = FeatureDrift(random.random(2000), ert=1000, window=100, on="predictions", seed=0)
    assert column.update(None, random.random((100, 1))).observations == 100
    both = FeatureDrift(random.random(2000), ert=1000, window=100, on=lambda x, y: x["age"] - y, seed=0)
    assert both.update({"age": random.random(100)}, 0.5).observations == 100


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ([["a"] * 5], TypeError, "inputs must hold numbers"),
        ({"even": [1]}, TypeError, "inputs must be one array of numbers, not a dict"),
        (np.zeros((2, 7)), ConfigurationError, r"inputs must have the shape \(samples, 5\), .* got \(2, 7\)"),
        (np.zeros(5), ConfigurationError, r"inputs must have the shape \(samples, 5\), .* got \(5,\)"),
    ],
)
def test_what_are_no_such_rows_is_refused(
    detector: FeatureDrift, batch: Any, error: type[Exception], message: str
) -> None:
    """With the name, what it was, and what is allowed; the detector goes on."""
    detector.reset()
    detector.update(rows(20, 0), None)
    with pytest.raises(error, match=message):
        detector.update(batch, None)
    assert not detector.update(np.empty((0, 5)), None).observations
    assert detector.update(rows(30, 0), None).p_value is not None


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"reference": rows(1000, 0)}, ConfigurationError, "at least 8 times .* 200, got 1000"),
        ({"reference": [["a"]]}, TypeError, "reference must hold numbers"),
        (
            {"statistic": "t"},
            ConfigurationError,
            "statistic must be one of 'ks', 'psi', 'wasserstein', 'chi2', got 't'",
        ),
        ({"bins": 1}, ConfigurationError, "bins must be at least 2, got 1"),
        ({"names": "abcde"}, TypeError, "names must be a list of strings, not 'abcde'"),
        ({"names": ["a"]}, ConfigurationError, "names must be 5, one for each column, got 1"),
        ({"names": ["a", "b", "c", "d", ""]}, ConfigurationError, r"names\[4\] must not be empty"),
        ({"on": "outputs"}, TypeError, "on must be 'predictions', 'inputs' or a function of both, not 'outputs'"),
        ({"ert": 100}, ConfigurationError, "ert must be at least the window, 200, got 100"),
        ({"stride": 7}, ConfigurationError, "stride must divide the window, 200, got 7"),
        ({"n_streams": 3}, ConfigurationError, "n_streams must be at least 42"),
        ({"seed": 0.5}, TypeError, "seed must be a whole number, not 0.5"),
    ],
)
def test_wrong_settings_are_refused(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    """At construction."""
    with pytest.raises(error, match=message):
        FeatureDrift(**{"reference": rows(4000, 0), "ert": 5000, "window": 200, **arguments})


def test_a_seed_makes_the_same_threshold() -> None:
    """Without one, it differs."""
    made = [FeatureDrift(rows(2000, 0), ert=1000, window=100, seed=seed) for seed in (1, 1, None)]
    same, again, other = made
    assert same.threshold == again.threshold != other.threshold
    assert (same.name, same.schedule.stride) == ("features", 5)

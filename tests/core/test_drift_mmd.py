"""MMDDrift: false alarms as rare as was asked for, drifts seen, the same events however rows come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gangplank.drift import mmd_streams
from gangplank.drift.mmd import MMDDrift
from gangplank.drift.mmd_streams import Streams
from gangplank.drift.result import DriftResult
from gangplank.errors import ConfigurationError

Floats = npt.NDArray[np.float64]
Law = Callable[[np.random.Generator, int], Floats]


def probabilities(random: np.random.Generator, number: int) -> Floats:
    """Return rows as a classifier of ten classes predicts them: mostly sure."""
    return random.dirichlet(np.full(10, 0.1), size=number)


def one_hot(random: np.random.Generator, number: int) -> Floats:
    """Return rows of which most are alike."""
    found: Floats = np.eye(4)[random.choice(4, p=[0.7, 0.1, 0.1, 0.1], size=number)]
    return found


def normal(random: np.random.Generator, number: int) -> Floats:
    """Return rows of two columns that do not depend on one another."""
    return random.normal(size=(number, 2))


def tripled(random: np.random.Generator, number: int) -> Floats:
    """Return each of some rows three times, one after another."""
    return np.repeat(normal(random, -(-number // 3)), 3, axis=0)[:number]


def detector(law: Law = normal, rows: int = 1000, seed: int = 0, **options: Any) -> MMDDrift:
    """Return a small detector."""
    settings = {"ert": 100, "window": 25, "seed": seed, **options}
    return MMDDrift(law(np.random.default_rng([seed, 1]), rows), **settings)


def events_of(found: MMDDrift, rows: Floats, sizes: list[int]) -> list[int]:
    """Return at which of some rows, given in batches of these sizes, drifts were detected, of single rows exactly."""
    events: list[int] = []
    begin = index = 0
    while begin < len(rows):
        size = sizes[index % len(sizes)]
        events += [min(begin + size, len(rows))] * found.update(None, rows[begin : begin + size]).drift_detected
        begin, index = begin + size, index + 1
    return events


@pytest.mark.parametrize(
    ("law", "options"),
    [
        (probabilities, {}),
        (one_hot, {}),
        (normal, {"window": 40, "stride": 7, "ert": 150}),
        (tripled, {"calibration": "blocks", "window": 50}),
    ],
)
def test_false_alarms_are_as_rare_as_asked(law: Law, options: dict[str, Any]) -> None:
    """Over 8 references, 480 runs in all: chance alone, in runs and references, is 7 % of the mean."""
    runs, seen = 0, 0
    for seed in range(8):
        found = detector(law, 40 * options.get("window", 25), seed, **{"stride": 5, **options})
        rows = law(np.random.default_rng([seed, 2]), 60 * found.schedule.ert)
        runs += len(events_of(found, rows, [64]))
        seen += len(rows)
    assert seen / runs == pytest.approx(found.schedule.ert, rel=0.2)


def test_independent_rows_are_needed_unless_blocks_are_simulated() -> None:
    """Of rows that come three times, false alarms are far too many otherwise."""
    found = detector(tripled, 2000, window=50, stride=5)
    rows = tripled(np.random.default_rng(2), 6000)
    assert len(events_of(found, rows, [64])) > 3 * len(rows) / found.schedule.ert


def test_run_times_have_no_memory() -> None:
    """As many end soon, and as many late, as if each evaluation was a false alarm with the same chance."""
    found = detector(window=10, stride=2)
    times = np.diff([0, *events_of(found, normal(np.random.default_rng(2), 30_000), [2])])
    assert len(times) > 200
    mean = times.mean()
    assert (times <= mean / 4).mean() == pytest.approx(1 - np.exp(-1 / 4), abs=0.09)
    assert (times > 2 * mean).mean() == pytest.approx(np.exp(-2), abs=0.07)


def test_p_values_are_uniform_without_drift() -> None:
    """Over windows that have no row in common; a threshold that is rarely exceeded changes little."""
    found = detector(rows=5000, ert=10_000, n_streams=4000, stride=25)
    random = np.random.default_rng(3)
    p_values = np.array([found.update(None, normal(random, 25)).p_value for _ in range(2000)])
    assert p_values.mean() == pytest.approx(0.5, abs=0.04)
    assert (p_values < 0.05).mean() == pytest.approx(0.05, abs=0.025)


def shifted(random: np.random.Generator, number: int) -> Floats:
    """Return rows of which one column is greater."""
    found: Floats = normal(random, number) + np.array([0.7, 0])
    return found


def equal_columns(random: np.random.Generator, number: int) -> Floats:
    """Return rows of which each column is as it was, and the same as the other."""
    return normal(random, number)[:, [0, 0]]


def even(random: np.random.Generator, number: int) -> Floats:
    """Return rows as ``one_hot``, with as many of each class."""
    found: Floats = np.eye(4)[random.choice(4, size=number)]
    return found


def without_a_class(random: np.random.Generator, number: int) -> Floats:
    """Return rows as ``probabilities``, without those of class 0."""
    rows = probabilities(random, 2 * number)
    found: Floats = rows[rows.argmax(axis=1) != 0][:number]
    return found


@pytest.mark.parametrize(
    ("before", "after", "most"),
    [(normal, shifted, 80), (normal, equal_columns, 80), (one_hot, even, 60), (probabilities, without_a_class, 180)],
)
def test_drifts_are_seen_soon(before: Law, after: Law, most: int) -> None:
    """Of one column, of how columns depend on one another, and of classes: after so many rows on average."""
    found = detector(before, 2000, ert=500, window=100)
    random = np.random.default_rng(4)
    delays: list[int] = []
    for _ in range(10):
        found.reset()
        delays.append(events_of(found, after(random, 2000), [5])[0])
    assert np.mean(delays) <= most


@settings(max_examples=25)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=8), st.sampled_from([1, 3, 25]))
def test_the_same_rows_in_any_batches_make_the_same_events(sizes: list[int], stride: int) -> None:
    """And the same statistic to the last digit, resets included."""
    random = np.random.default_rng(5)
    rows = np.concatenate([normal(random, 300), normal(random, 250) + 1, normal(random, 150)])
    singly, cut = (detector(rows=300, stride=stride, n_streams=300) for _ in range(2))
    one_by_one = events_of(singly, rows, [1])
    assert len(one_by_one) > 3
    ends = np.append(np.cumsum(np.resize(sizes, len(rows))), len(rows)).clip(max=len(rows))
    assert events_of(cut, rows, sizes) == [int(ends[np.searchsorted(ends, event)]) for event in one_by_one]
    assert cut.update(None, rows[:1]) == singly.update(None, rows[:1])


class Backwards:
    """Threads that are done in the other order."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, function: Any, *arguments: list[Any]) -> list[Any]:
        """Return what the function does of each."""
        return [function(*each) for each in list(zip(*arguments, strict=True))[::-1]][::-1]


def test_a_seed_decides_all_in_whatever_order_threads_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that replicas agree."""
    rows = normal(np.random.default_rng(6), 400)
    result = detector(project=1).update(None, rows)
    assert result.test_statistic is not None
    assert detector(project=1, seed=7).update(None, rows).threshold != result.threshold
    monkeypatch.setattr(mmd_streams, "ThreadPoolExecutor", Backwards)
    assert detector(project=1).update(None, rows) == result


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return where all draws from references will be; the last one begins with the newest window's first rows."""
    found: list[Any] = []
    draw = Streams.draw

    def recorded(streams: Streams, random: np.random.Generator) -> Any:
        found.append(draw(streams, random))
        return found[-1]

    monkeypatch.setattr(Streams, "draw", recorded)
    return found


def by_definition(window: Floats, reference: Floats, bandwidth: float) -> float:
    """Return the unbiased squared MMD from all pairs of rows."""
    rows = np.concatenate([window, reference])
    pairs = np.exp(((rows[:, None] - rows) ** 2).sum(axis=2) / (-2 * bandwidth**2))
    np.fill_diagonal(pairs, 0)
    few, many = len(window), len(reference)
    within = pairs[:few, :few].sum() / (few * (few - 1)) + pairs[few:, few:].sum() / (many * (many - 1))
    return float(within - 2 * pairs[:few, few:].mean())


def test_every_statistic_is_that_of_the_last_rows(drawn: list[Any]) -> None:
    """After every reset too, and after many rows."""
    reference = normal(np.random.default_rng(13), 250)
    found = MMDDrift(reference, ert=100, window=20, stride=3, seed=0)
    random = np.random.default_rng(14)
    events = 0
    begun, seen = drawn[-1], np.empty((0, 2))
    for step in range(3000):
        rows = normal(random, 3) + (step % 100 > 90)
        result = found.update(None, rows)
        seen = np.concatenate([seen, rows])[-20:]
        if step < 300 or step > 2900:
            window = np.concatenate([reference[begun[:20]], seen])[-20:]
            expected = by_definition(window, np.delete(reference, begun, axis=0), found._kernel.bandwidth)
            assert result.test_statistic == pytest.approx(expected, abs=2e-6)
            assert result.drift_detected == (expected > found.threshold)
        if result.drift_detected:
            events += 1
            begun, seen = drawn[-1], seen[:0]
    assert events > 30


def test_a_detection_is_one_event_and_the_window_is_of_the_reference_again(drawn: list[Any]) -> None:
    """Of other rows than before, and below the threshold."""
    found = detector()
    begun = [drawn[-1]]
    for _ in range(4):
        while not found.update(None, [[3.0, 3.0]]).drift_detected:
            pass
        begun.append(drawn[-1])
        assert found._window.statistic <= found.threshold
        assert found.update(None, normal(np.random.default_rng(7), 1)).drift_detected == 0
    assert len({tuple(sorted(indices[:25])) for indices in begun}) == 5


def test_a_result_is_as_of_the_last_evaluation() -> None:
    """Until which there is nothing to say."""
    found = detector(stride=10)
    rows = normal(np.random.default_rng(8), 30)
    first = found.update(None, rows[:9])
    assert first == DriftResult(threshold=found.threshold, observations=9, window_fill=1.0)
    second = found.update(None, rows[9:10])
    assert second.test_statistic is not None
    assert second.p_value is not None
    assert found.update(None, rows[10:15]).test_statistic == second.test_statistic
    assert found.update(None, rows[15:20]).test_statistic != second.test_statistic
    found.reset()
    assert found.update(None, rows[20:29]).test_statistic is None  # which begins to count anew


def test_rows_that_are_not_finite_are_no_observations() -> None:
    """They are counted, and the events are those of the others."""
    rows = normal(np.random.default_rng(9), 200)
    holed = np.insert(rows, [3, 3, 50], np.nan, axis=0)
    result = detector().update(None, holed)
    assert result.skipped == 3
    assert result.observations == 200
    assert detector().update(None, rows).test_statistic == result.test_statistic
    assert detector().update(None, np.full((5, 2), np.inf)).observations == 0


def test_a_wrong_batch_is_refused_and_changes_nothing() -> None:
    """The next one is looked at as if it had not been."""
    rows = normal(np.random.default_rng(10), 100)
    found = detector()
    found.update(None, rows[:50])
    with pytest.raises(ConfigurationError, match=r"predictions must have the shape \(samples, 2\)"):
        found.update(None, np.ones((50, 3)))
    with pytest.raises(TypeError, match="predictions must hold numbers"):
        found.update(None, np.array([["a", "b"]]))
    after = found.update(None, rows[50:])
    assert after.test_statistic == detector().update(None, rows).test_statistic


@pytest.mark.parametrize("column", [0.0, 1e6])
def test_a_column_that_is_constant_makes_no_alarm(column: float) -> None:
    """Nor does it hide one in another column."""
    random = np.random.default_rng(11)
    rows = normal(random, 1000)
    rows[:, 0] = column
    found = MMDDrift(rows, ert=2000, window=25, seed=0)
    fresh = normal(random, 300)
    fresh[:, 0] = column
    assert found.update(None, fresh).drift_detected == 0
    assert found.update(None, fresh + np.array([0, 2])).drift_detected > 0


def test_a_reference_of_one_row_only_makes_no_alarm_until_another_comes() -> None:
    """Rounding is no drift."""
    found = MMDDrift(np.full((400, 3), 0.1), ert=1000, window=20, bandwidth=1.0, seed=0)
    assert found.update(None, np.full((500, 3), 0.1)).drift_detected == 0
    assert found.update(None, np.full((20, 3), 0.2)).drift_detected > 0

"""Simulated windows, and the threshold that follows from them."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gangplank.drift.calibration import Schedule
from gangplank.drift.simulation import Population, Simulation, check_size, run_time, threshold
from gangplank.drift.tables import Tables
from gangplank.errors import ConfigurationError

SCHEDULE = Schedule(2000, 100, 5)


def reference(rows: int) -> npt.NDArray[np.intp]:
    """Return rows of two columns, of which the second is the first, upside down."""
    first = np.random.default_rng(0).choice(3, p=[0.5, 0.3, 0.2], size=rows)
    return np.column_stack([first, 2 - first])


def simulation(*, rows: int = 1000, is_cumulative: bool = False) -> Simulation:
    """Return one of such rows."""
    return Simulation(Tables(2, 3, is_cumulative), reference(rows), SCHEDULE, np.random.default_rng(1))


def test_of_few_values_the_threshold_is_between_those_that_come_closest() -> None:
    """Halfway, for what is one value in single precision is another in double."""
    random = np.random.default_rng(0)
    statistics = random.choice(3, p=[1 - 1 / 250, 1 / 250 - 1 / 1000, 1 / 1000], size=(4000, 140)).astype(np.float32)
    assert threshold(statistics, Schedule(1300, 100, 5)) == pytest.approx(0.5)
    assert threshold(statistics, Schedule(4000, 100, 5)) == pytest.approx(1.5)
    assert threshold(np.zeros((100, 140), np.float32), SCHEDULE) == pytest.approx(0, abs=1e-4)
    assert threshold(np.zeros((100, 140), np.float32), SCHEDULE) > 0


@pytest.mark.parametrize("rows", [1000, 30_000])
def test_windows_are_samples_of_what_the_reference_may_be_of(rows: int) -> None:
    """Counts vary as those of a multinomial do, and as another reference would; columns belong together.

    The reference is all of what a stream comes from, or a part of it.
    """
    tables = np.concatenate(list(simulation(rows=rows).windows(8000)))
    assert tables.shape == (8000, 2, 3)
    assert (tables.sum(axis=-1) == 100).all()
    assert (tables[:, 0] == tables[:, 1, ::-1]).all()
    share = np.bincount(reference(rows)[:, 0]) / rows
    assert tables[:, 0].mean(axis=0) == pytest.approx(100 * share, rel=0.02)
    assert tables[:, 0].var(axis=0) == pytest.approx(100 * share * (1 - share) * (1 + 100 / rows), rel=0.05)


@pytest.mark.parametrize("rows", [500, 30_000])
def test_each_stream_comes_from_a_place_of_its_own(rows: int) -> None:
    """These differ as samples as large as the reference do, however a stream is drawn: in ones, or in many."""
    random = np.random.default_rng(2)
    numbered = Tables(2, 3, is_cumulative=False).numbered(reference(rows))
    population = Population(numbered, 400, random)
    sizes = [1] * 50 + [1000] * 100
    drawn = np.concatenate([population.draw(size)[:, :, 0] for size in sizes], axis=1)
    found = (drawn == 0).mean(axis=1)
    share = (numbered[:, 0] == 0).mean()
    expected = share * (1 - share) * (1 / rows + 1 / sum(sizes))
    assert found.mean() == pytest.approx(share, abs=4 * (expected / 400) ** 0.5)
    assert found.var() == pytest.approx(expected, rel=0.3)  # of 400 variances, four standard errors


def test_cumulative_tables_are_sums_of_the_others() -> None:
    """The same chance makes the same windows."""
    plain, summed = (next(simulation(is_cumulative=which).windows(50)) for which in (False, True))
    assert (plain.cumsum(axis=-1) == summed).all()


def test_streams_begin_empty_and_slide() -> None:
    """A window grows until it is full; then a stride leaves as one comes. It is looked at no earlier than asked."""
    seen: list[tuple[int, npt.NDArray[Any]]] = []

    def of(counts: npt.NDArray[np.float32], observations: int) -> npt.NDArray[Any]:
        seen.append((observations, counts.copy()))
        return counts[:, 0, 0]

    found = simulation().statistics(of, 5, 1000)
    assert found.shape == (1000, 7 * 20)
    assert np.isneginf(found[:, :4]).all()
    assert np.isfinite(found[:, 4:]).all()
    assert [observations for observations, _ in seen[:17]] == [*range(25, 100, 5), 100, 100]
    for observations, counts in seen:
        assert (counts.sum(axis=-1) == observations).all()
    for (_, before), (_, after) in pairwise(seen[20:130]):
        assert np.abs(after - before).sum(axis=-1).max() <= 10


def test_the_run_time_is_that_of_streams_that_go_on() -> None:
    """Statistics without memory after a beginning in which there is none: the mean is told from a short beginning."""
    random = np.random.default_rng(0)
    statistics = random.random((4000, 140), np.float32)
    statistics[:, :4] = -np.inf
    running = np.maximum.accumulate(statistics, axis=1)
    for above, tolerance in ((0.5, 0.02), (0.05, 0.03), (0.004, 0.05)):
        assert run_time(running, 1 - above, SCHEDULE) == pytest.approx(5 * (4 + 1 / above), rel=tolerance)
    assert threshold(statistics, SCHEDULE) == pytest.approx(1 - 1 / (2000 / 5 - 4), abs=2e-4)


def test_a_statistic_that_never_varies_has_a_threshold_it_does_not_exceed() -> None:
    """Nor does what rounding makes of it."""
    assert threshold(np.zeros((500, 140), np.float32), SCHEDULE) > 1e-9


def test_the_reference_must_be_larger_than_the_window(caplog: pytest.LogCaptureFixture) -> None:
    """Far larger, or the log says so; 8 times, or it is refused."""
    with caplog.at_level(logging.WARNING, "gangplank.drift"):
        check_size(20_000, 1000)
        assert not caplog.records
        check_size(8000, 1000)
    assert "8000 rows, 8.0 times the window of 1000" in caplog.text
    with pytest.raises(ConfigurationError, match=r"the window, 1000, got 7999; allowed is a window of at most 999"):
        check_size(7999, 1000)

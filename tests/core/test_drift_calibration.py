"""Thresholds that make false alarms as rare as was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gangplank.drift.calibration import Schedule, quantiles, streams, tail, threshold
from gangplank.errors import ConfigurationError


def maxima(values: Any, burn_in: int) -> tuple[Any, Any]:
    """Return each stream's largest value in the burn-in, and in all."""
    return values[:, :burn_in].max(axis=1), values.max(axis=1)


@pytest.mark.parametrize("per_alarm", [20, 100])
def test_independent_evaluations_exceed_it_as_often_as_asked(per_alarm: int) -> None:
    """The chance of each evaluation is then one in so many."""
    values = np.random.default_rng(0).random((20_000, 60))
    found = threshold(*maxima(values, 20), 40, per_alarm)
    assert 1 - found == pytest.approx(1 / per_alarm, rel=0.05)


def test_evaluations_that_come_in_clumps_alarm_as_often_as_asked() -> None:
    """The chance of an evaluation is higher, for one false alarm brings others, which do not count."""
    random, per_alarm = np.random.default_rng(1), 50
    noise = random.normal(size=(20_000, 89))
    windows = np.cumsum(np.pad(noise, ((0, 0), (1, 0))), axis=1)
    values = windows[:, 10:] - windows[:, :-10]
    found = threshold(*maxima(values, 20), 60, per_alarm)
    long = np.cumsum(random.normal(size=(400, 3010)), axis=1)
    alarms = ((long[:, 10:] - long[:, :-10]) > found).argmax(axis=1)
    assert alarms[alarms > 20].mean() - 20 == pytest.approx(per_alarm, rel=0.15)


def test_of_few_values_the_one_is_taken_that_comes_closest() -> None:
    """A statistic of few values cannot be right exactly."""
    random = np.random.default_rng(2)
    values = random.choice(4, p=[0.5, 0.39, 0.1, 0.01], size=(5000, 60))
    assert threshold(*maxima(values, 20), 40, 100) == 2  # 3 is exceeded by none, 2 by one in 100
    assert threshold(*maxima(values, 20), 40, 9) == 1


def test_streams_that_are_all_alike_have_a_threshold_that_none_exceeds() -> None:
    """As of a reference that is one row again and again."""
    assert threshold(np.zeros(500), np.zeros(500), 40, 100) == 0


def test_p_values_are_ranks_that_are_never_zero() -> None:
    """However extreme a statistic is, so many streams do not make it impossible."""
    kept = quantiles(np.random.default_rng(3).random(100_000))
    for value in (0.1, 0.5, 0.9, 0.99):
        assert tail(kept, value) == pytest.approx(1 - value, abs=0.005)
    assert tail(kept, 2) == 1 / 2002
    assert tail(kept, -1) == 1


def test_p_values_of_ties_count_them_all() -> None:
    """What is as extreme counts as at least as extreme."""
    assert tail(quantiles(np.repeat([0.0, 1.0], 5000)), 1) == pytest.approx(0.5, abs=0.001)
    assert tail(quantiles(np.repeat([0.0, 1.0], 5000)), 0) == 1


def test_a_schedule_evaluates_twenty_times_a_window() -> None:
    """Or at each observation, if the window is small."""
    assert Schedule.of(500, 200, None) == Schedule(500, 200, 10)
    assert Schedule.of(500, 19, None).stride == 1
    assert Schedule.of(500, 200, 4).per_alarm == 125


@pytest.mark.parametrize(
    ("ert", "window", "stride", "said"),
    [
        (0, 10, None, "ert must be at least 1, got 0"),
        (9, 10, None, "ert must be at least the window, 10, got 9"),
        (100, 1, None, "window must be at least 2, got 1"),
        (100, 10, 11, "stride must be at most the window, 10, got 11"),
        (100, 10, 0, "stride must be at least 1, got 0"),
        (10, 10, 6, "ert must be at least"),
    ],
)
def test_a_schedule_out_of_range_is_refused(ert: int, window: int, stride: int | None, said: str) -> None:
    """The message has the argument, its value and what is allowed."""
    with pytest.raises(ConfigurationError, match=said):
        Schedule.of(ert, window, stride)


@pytest.mark.parametrize("settings", [("100", 10, 1), (100, 10.0, 1), (100, 10, True), (1e5, 10, 1)])
def test_a_schedule_is_of_whole_numbers(settings: Any) -> None:
    """Also where Python would compute with another number."""
    with pytest.raises(TypeError, match="must be a whole number"):
        Schedule.of(*settings)


def test_the_number_of_streams_follows_the_run_time() -> None:
    """About as many false alarms are simulated whatever the settings, within bounds."""
    assert streams(Schedule(2000, 200, 10), 400) == 2000
    assert streams(Schedule(200, 50, 2), 100) == 800
    assert streams(Schedule(200, 200, 10), 400) == 500
    assert streams(Schedule(100_000, 200, 10), 400) == 50_000
    assert streams(Schedule(2000, 200, 10), 400, 60) == 60


def test_a_run_time_of_which_little_is_simulated_is_said_to_be_rough(caplog: pytest.LogCaptureFixture) -> None:
    """With how rough it is: of 25 false alarms, by a fifth."""
    assert streams(Schedule(200_000, 200, 10), 400) == 50_000
    assert not caplog.messages
    streams(Schedule(800_000, 200, 10), 400)
    (said,) = caplog.messages
    assert "run time of 800000 may be off by 20 %: in 50000 simulated streams there are 25 false alarms" in said


@pytest.mark.parametrize(("ert", "asked"), [(2000, 49), (10**7, "auto")])
def test_too_few_streams_to_see_a_false_alarm_are_refused(ert: int, asked: Any) -> None:
    """A threshold that no stream exceeds would be a guess."""
    with pytest.raises(ConfigurationError, match=f"n_streams must be at least .* for an ert of {ert}, got {asked!r}"):
        streams(Schedule(ert, 200, 10), 400, asked)


@pytest.mark.parametrize("asked", ["many", 2.5, None])
def test_a_number_of_streams_is_whole_or_automatic(asked: Any) -> None:
    """And says so."""
    with pytest.raises(TypeError, match="n_streams must be"):
        streams(Schedule(2000, 200, 10), 400, asked)

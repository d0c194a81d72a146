"""Rates and quantiles of what was read."""

from __future__ import annotations

import math

import numpy as np
import pytest
from watching import history_of, only

from gangplank.watch import rates
from gangplank.watch.track import Track

TOTAL = "gangplank_predict_total"


def track(*values: float, apart: float = 1.0) -> Track:
    """Return a counter's past."""
    found = Track(is_counter=True)
    for index, value in enumerate(values):
        found.add(index * apart, value)
    return found


def test_a_rate_is_of_the_time_between_and_survives_a_restart() -> None:
    """Ten a second, across the moment at which counting began anew."""
    subject = only(history_of(TOTAL, [90.0, 100.0, 110.0, 10.0, 20.0]))
    found = subject.track(TOTAL)
    assert found is not None
    assert rates.rates([found]) == [(1.0, 10.0), (2.0, 10.0), (3.0, 10.0), (4.0, 10.0)]


def test_a_rate_is_of_the_last_half_minute() -> None:
    """What was before does not count, and readings that are farther apart are each taken by themselves."""
    busy_then_idle = track(*[float(min(second, 10) * 100) for second in range(60)])
    found = dict(rates.rates([busy_then_idle]))
    assert found[10.0] == 100
    assert found[25.0] == pytest.approx(1000 / 25)
    assert found[59.0] == 0
    assert rates.rates([track(0, 600, 600, apart=60)]) == [(60.0, 10.0), (120.0, 0.0)]


def test_several_counters_are_added() -> None:
    """Also one that is younger than the other."""
    younger = Track(is_counter=True)
    younger.add(2.0, 0.0)
    younger.add(3.0, 30.0)
    assert dict(rates.rates([track(0, 10, 20, 30), younger]))[3.0] == 20


def test_a_share_of_nothing_is_no_number() -> None:
    """No calls, no share of failed ones."""
    shares = dict(rates.shares([track(0, 1, 1)], [track(0, 4, 4)]))
    assert shares == {1.0: 0.25, 2.0: 0.25}
    assert math.isnan(rates.shares([track(0, 0)], [track(3, 3)])[0][1])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99, 1.0])
def test_quantiles_are_within_their_bucket(share: float) -> None:
    """Of real observations, no farther from the real quantile than the bucket is wide."""
    observed = np.random.default_rng(1).gamma(2.0, 0.05, 10_000)
    bounds = np.array([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0])
    counts = [(float(bound), float((observed <= bound).sum())) for bound in bounds]
    found = rates.quantile([*counts, (math.inf, float(len(observed)))], share)
    real = float(np.quantile(observed, share))
    index = int(np.searchsorted(bounds, real))
    low = 0.0 if index == 0 else bounds[index - 1]
    assert low <= found <= bounds[index]


def test_quantiles_at_the_ends() -> None:
    """Above the last bound that is the answer, as in Prometheus; of nothing there is none."""
    assert rates.quantile([(1.0, 0.0), (math.inf, 5.0)], 0.5) == 1.0
    assert math.isnan(rates.quantile([(1.0, 0.0), (math.inf, 0.0)], 0.5))
    assert math.isnan(rates.quantile([], 0.5))


def test_quantiles_are_of_what_is_new() -> None:
    """And of the buckets of several series together."""
    fast = [(1.0, track(100, 110)), (2.0, track(100, 110)), (math.inf, track(100, 110))]
    slow = [(1.0, track(0, 0)), (2.0, track(0, 10)), (math.inf, track(0, 10))]
    assert rates.quantiles(fast, 0.5) == [(1.0, 0.5)]
    assert rates.quantiles([*fast, *slow], 0.75) == [(1.0, 1.5)]

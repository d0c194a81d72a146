"""What to report of weights, and when: options, bounds that fit, layers that are few, epochs that are due."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangplank import ConfigurationError, Weights, summarize_weights
from gangplank.weights.bounds import AUTO, fitting
from gangplank.weights.counting import largest_magnitude
from gangplank.weights.layers import OTHER, largest, whole
from gangplank.weights.schedule import Schedule
from gangplank.weights.summary import WeightSummary


def test_nothing_has_to_be_said() -> None:
    """By default: bounds that fit, at the end of a run, the whole model."""
    options = Weights()
    assert (options.histogram_buckets, options.every_n_epochs, options.max_share, options.layers) == (
        AUTO,
        None,
        None,
        0,
    )
    assert not options.updates
    assert not options.gradients


def test_bounds_are_kept_as_numbers() -> None:
    """Any iterable will do, and is read once."""
    assert Weights(histogram_buckets=(number / 2 for number in range(3))).histogram_buckets == (0.0, 0.5, 1.0)
    assert Weights(histogram_buckets=None).histogram_buckets is None


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"histogram_buckets": "0.1"},
            TypeError,
            "histogram_buckets must be a sequence of numbers or 'auto', not '0.1'",
        ),
        ({"histogram_buckets": [1, 0]}, ConfigurationError, "histogram_buckets must be sorted"),
        ({"histogram_buckets": 3}, TypeError, "histogram_buckets must be a sequence of numbers"),
        ({"every_n_epochs": 0}, ConfigurationError, "every_n_epochs must be at least 1, got 0"),
        ({"every_n_epochs": 1.5}, TypeError, "every_n_epochs must be a whole number, not 1.5"),
        ({"max_share": 0}, ConfigurationError, "max_share must be above 0 and at most 1, got 0"),
        ({"max_share": 1.01}, ConfigurationError, "max_share must be above 0 and at most 1, got 1.01"),
        ({"max_share": math.nan}, ConfigurationError, "max_share must be above 0 and at most 1, got nan"),
        ({"max_share": "1%"}, TypeError, "max_share must be a number, not '1%'"),
        ({"layers": -1}, ConfigurationError, "layers must be at least 0, got -1"),
        ({"layers": 1001}, ConfigurationError, "layers must be at most 1000, got 1001"),
        ({"layers": True}, TypeError, "layers must be a whole number, not True"),
        ({"updates": 1}, TypeError, "updates must be True or False, not 1"),
        ({"gradients": None}, TypeError, "gradients must be True or False, not None"),
    ],
)
def test_what_is_not_allowed_is_said_at_construction(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """With the argument, the value and what is allowed."""
    with pytest.raises(error, match=message):
        Weights(**options)


@given(st.floats(0, 1e40) | st.sampled_from([0.0, math.nan, math.inf, 5e-324, 1e308]))
def test_bounds_that_fit_are_symmetric_and_spaced_evenly_on_a_logarithmic_scale(magnitude: float) -> None:
    """Float32 holds each of them exactly, whatever the weights are."""
    bounds = fitting(magnitude)
    assert len(bounds) == 21
    assert bounds == tuple(-bound for bound in reversed(bounds))
    positive = [bound for bound in bounds if bound > 0]
    assert all(right == 2 * left for left, right in pairwise(positive))
    assert 0.0 in bounds
    assert [float(np.float32(bound)) for bound in bounds] == list(bounds)


@given(st.floats(1e-20, 1e20))
def test_bounds_that_fit_leave_room_to_grow(magnitude: float) -> None:
    """Twice the largest weight is within them, eight times is not: they would be wasted."""
    assert 2 * magnitude <= fitting(magnitude)[-1] < 4 * magnitude


@pytest.mark.parametrize("largest", [0.0, math.nan, math.inf])
def test_where_there_is_nothing_to_fit_the_bounds_are_those_for_one(largest: float) -> None:
    """A model of zeros, or one that has diverged."""
    assert fitting(largest) == fitting(1.0)


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_not_finite_does_not_choose_bounds(order: int) -> None:
    """Whichever comes first."""
    arrays = [np.asarray([0.5, np.nan], np.float32), np.asarray([-3.0, np.inf], np.float32), np.zeros(0, np.float32)]
    assert largest_magnitude(arrays[::order]) == 3.0
    assert largest_magnitude([np.asarray([np.nan])]) == 0.0


def layers(**sizes: int) -> dict[str, WeightSummary]:
    """Return layers of so many weights each, all 0.5."""
    return {name: summarize_weights([np.full(size, 0.5, np.float32)], (0.0, 1.0)) for name, size in sizes.items()}


def test_the_largest_layers_are_shown_and_the_others_together() -> None:
    """Largest first; of equal ones the first; no weight is lost."""
    shown, combined = largest(layers(a=1, b=5, c=3, d=5, e=2), 2)
    assert list(shown) == ["b", "d", OTHER]
    assert shown[OTHER].distribution.cumulative == (0, 6, 6)
    assert shown[OTHER].norm == pytest.approx(0.5 * math.sqrt(6))
    assert combined == 3


def test_a_layer_that_is_called_like_the_others_is_one_of_them() -> None:
    """No weight is lost."""
    shown, combined = largest(layers(_other=5, b=3, c=2), 2)
    assert {name: summary.distribution.count for name, summary in shown.items()} == {"b": 3, OTHER: 7}
    assert combined == 2


@pytest.mark.parametrize("most", [3, 4])
def test_where_all_layers_can_be_shown_there_are_no_others(most: int) -> None:
    """No series that stands for nothing."""
    shown, combined = largest(layers(a=1, b=2, c=3), most)
    assert set(shown) == {"a", "b", "c"}
    assert combined == 0


def test_a_layer_whose_weights_are_all_nan_is_as_large_as_before() -> None:
    """It is the very one to look at."""
    broken = summarize_weights([np.full(9, np.nan, np.float32)], (0.0, 1.0))
    shown, _ = largest({**layers(a=5, b=2), "broken": broken}, 1)
    assert next(iter(shown)) == "broken"


def test_the_whole_is_all_layers() -> None:
    """Of no layers there is none."""
    summary = whole(layers(a=1, b=2))
    assert summary is not None
    assert summary.distribution.count == 3
    assert whole({}) is None


def test_without_being_asked_nothing_is_read_within_a_run() -> None:
    """As in gangplank 0.5.0."""
    assert not any(Schedule(None, None).is_due(epoch, 100.0 * epoch) for epoch in range(1, 9))


def test_every_so_many_epochs() -> None:
    """By the number of epochs that are done, which a resumed training counts on."""
    schedule = Schedule(3, None)
    assert [epoch for epoch in range(1, 11) if schedule.is_due(epoch, 0.0)] == [3, 6, 9]


@given(st.floats(0.001, 1.0), st.lists(st.tuples(st.floats(0.01, 100), st.floats(0, 50)), min_size=1, max_size=40))
def test_reading_never_takes_more_than_its_share_unless_it_takes_longer_than_before(
    share: float, epochs: list[tuple[float, float]]
) -> None:
    """It cannot know in advance that this time takes longer than the last."""
    schedule = Schedule(None, share)
    elapsed = spent = last = 0.0
    for number, (duration, cost) in enumerate(epochs, 1):
        elapsed += duration
        if schedule.is_due(number, elapsed):
            assert spent + last <= share * elapsed
            schedule.took(cost)
            elapsed += cost
            spent, last = spent + cost, cost


def test_it_backs_off_and_comes_back() -> None:
    """A reading of a second, at one percent: once in a hundred seconds."""
    schedule = Schedule(None, 0.01)
    due = []
    for epoch in range(1, 401):
        if schedule.is_due(epoch, float(epoch)):
            due.append(epoch)
            schedule.took(1.0)
    assert due == [1, 200, 300, 400]


def test_both_must_allow_it() -> None:
    """Every tenth epoch, and not even then if that takes too long."""
    schedule = Schedule(10, 0.1)
    schedule.took(2.5)
    assert [epoch for epoch in range(1, 61) if schedule.is_due(epoch, float(epoch))] == [50, 60]

"""Several states as one: counts are added, and of the rest the later state's word stands."""

from __future__ import annotations

import math

import pytest

from gangplank.catalogue import metric, model_metric
from gangplank.cells import Labels
from gangplank.distribution import Distribution, Exemplar
from gangplank.merging import merge
from gangplank.metrics import Metric, Phase
from gangplank.state import State

LOSS = model_metric(Phase.TRAIN, "loss")
STEPS = metric(Phase.TRAIN, "steps")
DURATION = metric(Phase.TRAIN, "step_duration")
WEIGHTS = metric(Phase.TRAIN, "model_weights")
IN_FLIGHT = metric(Phase.PREDICT, "in_flight")
A: Labels = (("model", "a"),)
B: Labels = (("model", "b"),)


@pytest.fixture
def states() -> tuple[State, State]:
    """An older state and a later one."""
    return State(), State()


def merged(*states: State, only: Metric | None = None) -> dict[Metric, dict[Labels, float | Distribution]]:
    """Return what the states show together."""
    return {
        family.metric: {point.labels: point.value for point in family.points} for family in merge(states, only=only)
    }


def test_counters_are_added(states: tuple[State, State]) -> None:
    """Steps of two trainings of a model are its steps."""
    states[0].counter(STEPS, model="a").add(2)
    states[1].counter(STEPS, model="a").add(3)
    states[1].counter(STEPS, model="b").add(4)
    assert merged(*states) == {STEPS: {A: 5, B: 4}}


def test_of_a_gauge_the_later_value_stands(states: tuple[State, State]) -> None:
    """Whichever was written last: the order is the states'."""
    states[1].gauge(LOSS, model="a").set(0.25)
    states[0].gauge(LOSS, model="a").set(0.5)
    states[0].gauge(LOSS, model="b").set(0.75)
    assert merged(*states) == {LOSS: {A: 0.25, B: 0.75}}


def test_a_later_gauge_that_was_taken_away_is_not_filled_from_before(states: tuple[State, State]) -> None:
    """A second callback's loss is NaN: the first callback's last good one must not show in its place."""
    states[0].gauge(LOSS, model="a").set(0.5)
    states[1].gauge(LOSS, model="a").set(math.nan)
    assert merged(*states) == {}


def test_histograms_are_added_bucket_by_bucket(states: tuple[State, State]) -> None:
    """Durations of two trainings are the model's durations."""
    states[0].histogram(DURATION, model="a").observe(0.5, 2)
    states[1].histogram(DURATION, model="a").observe(0.0007)
    assert merged(*states) == {DURATION: {A: Distribution(DURATION.bounds, (*[1] * 8, *[3] * 9), 1.0007)}}


def test_of_a_snapshot_the_later_one_stands(states: tuple[State, State]) -> None:
    """A model has one set of weights; they are not added."""
    states[0].snapshot(WEIGHTS, model="a").set(Distribution((0.0,), (1, 2), 0.5))
    states[1].snapshot(WEIGHTS, model="a").set(Distribution((1.0,), (3, 3), 0.25))
    assert merged(*states) == {WEIGHTS: {A: Distribution((1.0,), (3, 3), 0.25)}}


def test_one_metric_can_be_read_alone(states: tuple[State, State]) -> None:
    """As an observable callback does."""
    for state in states:
        state.counter(STEPS, model="a").add(1)
        state.gauge(LOSS, model="a").set(1.0)
    assert merged(*states, only=STEPS) == {STEPS: {A: 2}}


def test_merging_changes_no_state(states: tuple[State, State]) -> None:
    """A second scrape shows the same."""
    for state in states:
        state.counter(STEPS, model="a").add(1)
        state.histogram(DURATION, model="a").observe(0.5)
    assert merged(*states) == merged(*states)
    assert merged() == {}


def test_of_a_run_the_newest_has_the_say_whatever_the_order(states: tuple[State, State]) -> None:
    """A new run of a model, in the older state: what the earlier run left in the other is not shown any more."""
    states[1].begin_run(Phase.TRAIN, "a")
    states[1].gauge(LOSS, model="a").set(0.1)
    states[1].gauge(model_metric(Phase.TRAIN, "val_loss"), model="a").set(0.1)
    states[1].gauge(LOSS, model="b").set(0.2)
    states[0].begin_run(Phase.TRAIN, "a")
    states[0].gauge(LOSS, model="a").set(0.7)
    assert merged(*states) == {LOSS: {A: 0.7, B: 0.2}}


@pytest.mark.parametrize(
    "row",
    [metric(Phase.TRAIN, "last_success_timestamp"), metric(Phase.PREDICT, "last_timestamp")],
    ids=lambda row: row.name,
)
def test_of_times_the_latest_stands(states: tuple[State, State], row: Metric) -> None:
    """The last success is the last, in whichever state it is; a run that had none does not take it away."""
    states[0].gauge(row, model="a").set(200.0)
    states[1].gauge(row, model="a").set(100.0)
    states[1].begin_run(Phase.TRAIN, "a")
    states[1].gauge(row, model="b")
    assert merged(*states) == merged(*reversed(states)) == {row: {A: 200.0}}


def test_what_is_under_way_is_added(states: tuple[State, State]) -> None:
    """Calls that run now, of two telemetries, are all running now; a state that has none takes none away."""
    states[0].gauge(IN_FLIGHT, model="a").set(2)
    states[1].gauge(IN_FLIGHT, model="a").set(3)
    states[0].gauge(IN_FLIGHT, model="b").set(4)
    states[1].gauge(IN_FLIGHT, model="b").set(0)
    assert merged(*states) == merged(*reversed(states)) == {IN_FLIGHT: {A: 5, B: 4}}


def test_predictions_outlast_the_runs_of_their_model(states: tuple[State, State]) -> None:
    """That a model is trained anew elsewhere says nothing about what it predicts."""
    drift = metric(Phase.PREDICT, "drift_p_value")
    states[0].gauge(drift, model="a").set(0.5)
    states[1].begin_run(Phase.TRAIN, "a")
    assert merged(*states) == {drift: {A: 0.5}}


def test_of_examples_the_later_one_of_each_bucket_stands(states: tuple[State, State]) -> None:
    """And those of buckets that only one state has are kept."""
    for state, name, seconds in ((states[0], "early", 0.5), (states[0], "early", 0.02), (states[1], "late", 0.4)):
        state.histogram(DURATION, model="a").observe(seconds)
        state.histogram(DURATION, model="a").exemplify(Exemplar(name, "span", seconds, 1.0))
    value = merged(*states)[DURATION][A]
    assert isinstance(value, Distribution)
    shown = {DURATION.bounds[index]: exemplar.trace_id for index, exemplar in value.exemplars}
    assert shown == {0.025: "early", 0.5: "late"}

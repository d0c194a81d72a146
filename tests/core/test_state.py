"""The state: what is written is what is read, from any thread, and what is gone is gone."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import pytest

from gangplank.catalogue import STEP_DURATION_BOUNDS, metric, model_metric
from gangplank.cells import Labels
from gangplank.distribution import Distribution
from gangplank.metrics import Metric, Phase
from gangplank.state import State

LOSS = model_metric(Phase.TRAIN, "loss")
STEPS = metric(Phase.TRAIN, "steps")
DURATION = metric(Phase.TRAIN, "step_duration")
WEIGHTS = metric(Phase.TRAIN, "model_weights")
OUTCOME = metric(Phase.TRAIN, "outcome")
PUSHES = metric(Phase.EXPORT, "pushes")


@pytest.fixture
def state() -> State:
    """A state with nothing in it."""
    return State()


def read(state: State) -> dict[str, dict[Labels, float | Distribution]]:
    """Return everything that the state shows."""
    return {family.metric.name: {point.labels: point.value for point in family.points} for family in state.read()}


def test_a_gauge_shows_the_last_value(state: State) -> None:
    """The handle of a series is the same whenever it is asked for."""
    state.gauge(LOSS, model="a").set(0.5)
    state.gauge(LOSS, model="b").set(0.75)
    state.gauge(LOSS, model="a").set(0.25)
    assert read(state) == {LOSS.name: {(("model", "a"),): 0.25, (("model", "b"),): 0.75}}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_takes_a_gauge_away(state: State, value: float) -> None:
    """A diverged loss does not stay on show at its last good value, and comes back when it is finite."""
    loss = state.gauge(LOSS, model="a")
    loss.set(0.5)
    loss.set(value)
    assert state.read() == []
    loss.set(0.5)
    assert read(state) == {LOSS.name: {(("model", "a"),): 0.5}}


def test_a_gauge_without_a_value_is_not_shown(state: State) -> None:
    """Neither before it is first set, nor once it was cleared."""
    loss = state.gauge(LOSS, model="a")
    assert state.read() == []
    loss.set(0.5)
    loss.clear()
    assert state.read() == []


def test_a_gauge_that_follows_is_computed_when_it_is_read(state: State) -> None:
    """Elapsed time moves without being written, until it is set."""
    readings = iter([1.0, 2.0])
    elapsed = state.gauge(LOSS, model="a")
    elapsed.follow(lambda: next(readings))
    assert [read(state)[LOSS.name][("model", "a"),] for _ in range(2)] == [1.0, 2.0]
    elapsed.set(3.0)
    assert read(state)[LOSS.name][("model", "a"),] == 3.0


def test_a_counter_starts_at_zero_and_only_grows(state: State) -> None:
    """It is there before it first counts, so that a rate over it is right from the start."""
    steps = state.counter(STEPS, model="a")
    assert read(state) == {STEPS.name: {(("model", "a"),): 0}}
    steps.add(2)
    steps.add(0.5)
    assert read(state) == {STEPS.name: {(("model", "a"),): 2.5}}
    for amount in (-1, math.nan, math.inf):
        with pytest.raises(ValueError, match="amount must be finite and 0 or more"):
            steps.add(amount)
    assert read(state) == {STEPS.name: {(("model", "a"),): 2.5}}


def test_a_histogram_counts_every_observation_once(state: State) -> None:
    """Buckets are cumulative, and the last one is the count."""
    duration = state.histogram(DURATION, model="a")
    duration.observe(0.0007)
    duration.observe(0.02, 3)
    duration.observe(1000.0)
    [[point]] = [family.points for family in state.read()]
    assert isinstance(point.value, Distribution)
    assert point.value.bounds == STEP_DURATION_BOUNDS
    assert point.value.cumulative == (1, 1, 1, 1, *[4] * 12, 5)
    assert point.value.count == 5
    assert point.value.sum == pytest.approx(1000.0607)


def test_a_value_equal_to_a_bound_is_in_its_bucket(state: State) -> None:
    """The label is le: lower or equal."""
    duration = state.histogram(DURATION, model="a")
    for bound in STEP_DURATION_BOUNDS:
        duration.observe(bound)
    assert duration.current().cumulative == (*range(1, len(STEP_DURATION_BOUNDS) + 1), len(STEP_DURATION_BOUNDS))


def test_a_snapshot_is_replaced(state: State) -> None:
    """Weights are as they are now; their counts may fall."""
    weights = state.snapshot(WEIGHTS, model="a")
    assert state.read() == []
    weights.set(Distribution((0.0,), (1, 3), 0.5))
    weights.set(Distribution((0.0,), (0, 2), 0.75))
    assert read(state) == {WEIGHTS.name: {(("model", "a"),): Distribution((0.0,), (0, 2), 0.75)}}


@pytest.mark.parametrize(
    "write",
    [
        lambda state: state.gauge(LOSS, model="a").set(1.0),
        lambda state: state.gauge(LOSS, model="a").set(math.nan),
        lambda state: state.gauge(LOSS, model="a").follow(lambda: 1.0),
        lambda state: state.gauge(LOSS, model="a").clear(),
        lambda state: state.counter(STEPS, model="a").add(1),
        lambda state: state.histogram(DURATION, model="a").observe(1.0),
        lambda state: state.snapshot(WEIGHTS, model="a").set(Distribution((0.0,), (0, 1), 0.5)),
    ],
)
def test_every_write_makes_a_new_version(state: State, write: Callable[[State], None]) -> None:
    """A version that was delivered tells whether there is anything new to deliver."""
    before = state.version
    write(state)
    once = state.version
    write(state)
    assert before < once < state.version


def test_writes_about_exporting_make_no_new_version(state: State) -> None:
    """Otherwise every push would be a reason for the next."""
    before = state.version
    state.counter(PUSHES, result="success").add(1)
    state.gauge(metric(Phase.EXPORT, "last_success_timestamp")).set(1.0)
    assert state.version == before
    assert len(state.read()) == 2


def test_forgotten_series_are_gone_and_the_others_stay(state: State) -> None:
    """A forgotten series' handle writes to nowhere; a new handle begins anew."""
    old = state.gauge(LOSS, model="a")
    old.set(1.0)
    state.gauge(LOSS, model="b").set(2.0)
    state.counter(STEPS, model="a").add(1)
    version = state.version
    state.forget(lambda row, attributes: row == LOSS and attributes == {"model": "a"})
    assert state.version > version
    old.set(3.0)
    assert read(state) == {LOSS.name: {(("model", "b"),): 2.0}, STEPS.name: {(("model", "a"),): 1}}
    state.gauge(LOSS, model="a").set(4.0)
    assert read(state)[LOSS.name] == {(("model", "b"),): 2.0, (("model", "a"),): 4.0}


def test_the_wrong_kind_is_refused(state: State) -> None:
    """A counter is not to be had as a gauge."""
    with pytest.raises(TypeError, match="gangplank_train_steps is a counter, not a gauge"):
        state.gauge(STEPS, model="a")
    with pytest.raises(TypeError, match="gangplank_train_model_weights is a snapshot, not a histogram"):
        state.histogram(WEIGHTS, model="a")


@pytest.mark.parametrize("attributes", [{}, {"model": "a"}, {"model": "a", "outcome": "failed", "job": "j"}])
def test_the_wrong_attributes_are_refused(state: State, attributes: dict[str, str]) -> None:
    """Series of a metric all carry the same label keys."""
    with pytest.raises(TypeError, match="gangplank_train_outcome takes the attributes"):
        state.gauge(OUTCOME, **attributes)


def test_labels_come_in_the_catalogues_order(state: State) -> None:
    """However they were given, so that a series is one series."""
    state.gauge(OUTCOME, outcome="failed", model="a").set(1)
    state.gauge(OUTCOME, model="a", outcome="failed").set(0)
    assert read(state) == {OUTCOME.name: {(("model", "a"), ("outcome", "failed")): 0}}


def test_one_metric_can_be_read_alone(state: State) -> None:
    """A callback reads its own metric; one that was never written has no family."""
    state.gauge(LOSS, model="a").set(1.0)
    state.counter(STEPS, model="a").add(1)
    assert [family.metric for family in state.read(only=STEPS)] == [STEPS]
    assert state.read(only=DURATION) == []


def test_eight_threads_lose_no_count(state: State) -> None:
    """Each thread also asks for the series anew, as adapters may."""
    together = threading.Barrier(8)

    def work() -> None:
        together.wait()
        for _ in range(1000):
            state.counter(STEPS, model="a").add(1)
            state.histogram(DURATION, model="a").observe(0.5)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state.counter(STEPS, model="a").current() == 8000
    assert state.histogram(DURATION, model="a").current().count == 8000
    assert state.version == 16000


def test_reading_while_writing_sees_whole_distributions(state: State) -> None:
    """A scrape in the middle of an observation sees it all or not at all."""
    duration = state.histogram(DURATION, model="a")
    done = threading.Event()

    def write() -> None:
        for number in range(2000):
            duration.observe(0.5, 2)
            state.gauge(LOSS, model=f"m{number % 50}").set(number)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    counts = []
    while not done.is_set():
        [value] = [point.value for family in state.read(only=DURATION) for point in family.points]
        assert isinstance(value, Distribution)
        assert value.sum == value.count / 2
        counts.append(value.count)
        state.read()
    writer.join()
    assert counts == sorted(counts)
    assert duration.current().count == 4000


class Ears:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.metrics: list[Metric] = []
        self.values: list[tuple[Metric, Labels, float, int]] = []

    def metric_added(self, metric: Metric) -> None:
        """Keep the metric."""
        self.metrics.append(metric)

    def observed(self, metric: Metric, labels: Labels, value: float, times: int) -> None:
        """Keep the observation."""
        self.values.append((metric, labels, value, times))


def test_a_listener_hears_of_metrics_there_are_and_of_those_to_come(state: State) -> None:
    """Once of each metric, whatever the number of its series, and before anything of it can be observed."""
    state.gauge(LOSS, model="a")
    ears = Ears()
    state.listen(ears)
    state.gauge(LOSS, model="b")
    duration = state.histogram(DURATION, model="a")
    state.histogram(DURATION, model="b")
    assert ears.metrics == [LOSS, DURATION]
    duration.observe(0.5, 3)
    assert ears.values == [(DURATION, (("model", "a"),), 0.5, 3)]


def test_a_signal_handler_may_write_in_the_middle_of_a_write(state: State) -> None:
    """The lock does not lock its own thread out."""
    with state.lock:
        state.counter(STEPS, model="a").add(1)
    assert state.counter(STEPS, model="a").current() == 1


def test_a_label_that_utf8_cannot_hold_is_made_one_that_it_can() -> None:
    """A model named after a file can have half a surrogate pair in its name, over which every exit would stumble."""
    state = State()
    state.begin_run(Phase.TRAIN, "net\udcff")
    state.gauge(model_metric(Phase.TRAIN, "loss"), model="net\udcff").set(0.5)
    state.begin_run(Phase.TEST, "net\udcff")
    ((family,),) = [state.read()]
    assert family.points[0].labels == (("model", "net?"),)
    state.begin_run(Phase.TRAIN, "net\udcff")
    assert state.read() == []

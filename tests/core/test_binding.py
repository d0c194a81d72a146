"""The binding: a provider of the process's own shows what the state holds, and is left as it was."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint, Sum
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gangplank.binding import join
from gangplank.catalogue import metric, model_metric
from gangplank.distribution import Distribution
from gangplank.exporters.exposition import show
from gangplank.metrics import Phase
from gangplank.state import State

LOSS = model_metric(Phase.TRAIN, "loss")
STEPS = metric(Phase.TRAIN, "steps")
DURATION = metric(Phase.TRAIN, "step_duration")
WEIGHTS = metric(Phase.TRAIN, "model_weights")


class Own:
    """A provider such as a process has, and what it would export."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)

    def points(self) -> dict[str, dict[frozenset[tuple[str, Any]], NumberDataPoint | HistogramDataPoint]]:
        """Collect, and return the points by metric and labels."""
        data = self.reader.get_metrics_data()
        return {
            found.name: {frozenset((point.attributes or {}).items()): point for point in found.data.data_points}  # type: ignore[misc]
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for found in scope.metrics
        }

    def values(self, name: str) -> dict[frozenset[tuple[str, Any]], float]:
        """Collect, and return the numbers of one metric."""
        points = self.points().get(name, {})
        return {labels: point.value for labels, point in points.items() if isinstance(point, NumberDataPoint)}


@pytest.fixture
def own() -> Iterator[Own]:
    """A provider, shut down by whom it belongs to."""
    own = Own()
    yield own
    own.provider.shutdown()


@pytest.fixture
def state(own: Own) -> State:
    """A state that the provider shows."""
    state = State()
    join(state, own.provider)
    return state


def of(**labels: str) -> frozenset[tuple[str, Any]]:
    """Return labels as a key."""
    return frozenset(labels.items())


def test_gauges_and_counters_are_shown(own: Own, state: State) -> None:
    """With their values, labels, units and descriptions."""
    state.gauge(LOSS, model="a").set(0.5)
    state.gauge(LOSS, model="b").set(0.25)
    state.counter(STEPS, model="a").add(3)
    assert own.values("gangplank_train_loss") == {of(model="a"): 0.5, of(model="b"): 0.25}
    assert own.values("gangplank_train_steps") == {of(model="a"): 3}
    data = own.reader.get_metrics_data()
    assert data is not None
    [scope] = data.resource_metrics[0].scope_metrics
    assert scope.scope.name == "gangplank"
    steps = next(found for found in scope.metrics if found.name == "gangplank_train_steps")
    assert (steps.unit, steps.description) == ("{step}", STEPS.description)
    assert isinstance(steps.data, Sum)
    assert steps.data.is_monotonic


def test_durations_have_true_histograms(own: Own, state: State) -> None:
    """With the catalogue's bounds, not OpenTelemetry's, which are for milliseconds."""
    duration = state.histogram(DURATION, model="a")
    duration.observe(0.02, 3)
    duration.observe(0.25)
    [point] = own.points()["gangplank_train_step_duration"].values()
    assert isinstance(point, HistogramDataPoint)
    assert tuple(point.explicit_bounds) == DURATION.bounds
    assert [count for count in point.bucket_counts if count] == [3, 1]
    assert point.bucket_counts[DURATION.bounds.index(0.25)] == 1
    assert point.count == 4
    assert point.sum == pytest.approx(0.31)
    assert dict(point.attributes or {}) == {"model": "a"}


def test_a_distribution_of_weights_is_three_gauges(own: Own, state: State) -> None:
    """OpenTelemetry's histograms refuse negative values."""
    state.snapshot(WEIGHTS, model="a").set(Distribution((-0.3, 0.0), (1, 2, 5), -0.75))
    assert own.values("gangplank_train_model_weights_bucket") == {
        of(model="a", le="-0.3"): 1,
        of(model="a", le="0.0"): 2,
        of(model="a", le="+Inf"): 5,
    }
    assert own.values("gangplank_train_model_weights_count") == {of(model="a"): 5}
    assert own.values("gangplank_train_model_weights_sum") == {of(model="a"): -0.75}
    state.snapshot(WEIGHTS, model="a").set(Distribution((-0.3, 0.0), (0, 1, 1), 0.0))
    assert own.values("gangplank_train_model_weights_count") == {of(model="a"): 1}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_absent_and_no_warning(
    own: Own, state: State, value: float, caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK warns of NaN at every collection; it must not get to see any."""
    loss = state.gauge(LOSS, model="a")
    loss.set(0.5)
    state.gauge(model_metric(Phase.TRAIN, "accuracy"), model="a").follow(lambda: value)
    state.snapshot(WEIGHTS, model="a").set(Distribution((0.0,), (1, 2), value))
    assert own.values("gangplank_train_loss") == {of(model="a"): 0.5}
    loss.set(value)
    with caplog.at_level(logging.DEBUG):
        points = own.points()
    assert {"gangplank_train_loss", "gangplank_train_accuracy", "gangplank_train_model_weights_sum"}.isdisjoint(points)
    assert "gangplank_train_model_weights_count" in points
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_forgotten_series_disappears(own: Own, state: State) -> None:
    """A model that is gone is not shown at its last value."""
    state.gauge(LOSS, model="a").set(0.5)
    state.gauge(LOSS, model="b").set(0.25)
    own.points()
    state.forget(lambda _, attributes: attributes["model"] == "a")
    assert own.values("gangplank_train_loss") == {of(model="b"): 0.25}


def test_the_provider_is_left_as_it_was(own: Own) -> None:
    """Nothing is changed in it, it is not made the process's, and no reader is added."""
    before = {name: repr(value) for name, value in vars(own.provider).items() if name != "_meters"}
    process_provider = metrics.get_meter_provider()
    state = State()
    join(state, own.provider)
    state.gauge(LOSS, model="a").set(0.5)
    own.points()
    assert {name: repr(value) for name, value in vars(own.provider).items() if name != "_meters"} == before
    assert "force_flush" not in vars(own.provider)
    assert metrics.get_meter_provider() is process_provider


def test_two_states_on_one_provider(own: Own, state: State) -> None:
    """Counts are added, of gauges the later state's stands, and durations of both are recorded."""
    other = State()
    join(other, own.provider)
    state.counter(STEPS, model="a").add(2)
    other.counter(STEPS, model="a").add(3)
    state.gauge(LOSS, model="a").set(0.5)
    other.gauge(LOSS, model="a").set(0.25)
    other.gauge(LOSS, model="b").set(0.75)
    state.histogram(DURATION, model="a").observe(0.5)
    other.histogram(DURATION, model="a").observe(0.5)
    assert own.values("gangplank_train_steps") == {of(model="a"): 5}
    assert own.values("gangplank_train_loss") == {of(model="a"): 0.25, of(model="b"): 0.75}
    [point] = own.points()["gangplank_train_step_duration"].values()
    assert isinstance(point, HistogramDataPoint)
    assert point.count == 2


def test_one_state_on_two_providers(own: Own, state: State) -> None:
    """Each provider shows it."""
    other = Own()
    join(state, other.provider)
    state.gauge(LOSS, model="a").set(0.5)
    state.histogram(DURATION, model="a").observe(0.5)
    for each in (own, other):
        assert each.values("gangplank_train_loss") == {of(model="a"): 0.5}
        assert len(each.points()["gangplank_train_step_duration"]) == 1
    other.provider.shutdown()


@pytest.mark.parametrize(("one", "two"), [("AUC", "auc"), ("a__b", "a_b")])
def test_names_that_the_provider_takes_for_one_are_both_visible(
    own: Own, state: State, one: str, two: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Two models whose metrics differ in case only: the SDK would drop the second instrument's callback."""
    state.gauge(model_metric(Phase.TRAIN, one), model="a").set(0.5)
    state.gauge(model_metric(Phase.TRAIN, two), model="b").set(0.25)
    shown = {labels: point for points in own.points().values() for labels, point in points.items()}
    assert shown.keys() == {of(model="a"), of(model="b")}
    assert caplog.records == []


def exposed(registry: CollectorRegistry) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """Return the samples of a scrape by name and labels."""
    found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def test_opentelemetrys_own_scrape_shows_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """One fact, one name and one value, whether our scrape is read or that of the user's OpenTelemetry stack."""
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    reader = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=theirs)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    state = State()
    join(state, provider)
    show(state, ours)
    for suffix in ("epochs_count", "model_parameters_count", "elapsed_time", "last_step_timestamp", "running"):
        state.gauge(metric(Phase.TRAIN, suffix), model="a").set(2)
    for suffix in ("loss", "AUC", "head_loss"):
        state.gauge(model_metric(Phase.TEST, suffix), model="a").set(0.5)
    state.gauge(metric(Phase.TRAIN, "outcome"), model="a", outcome="failed").set(1)
    state.counter(STEPS, model="a").add(3)
    state.counter(metric(Phase.TRAIN, "nonfinite"), model="a", metric="loss").add(1)
    state.counter(metric(Phase.EXPORT, "time")).add(1.5)
    state.counter(metric(Phase.EXPORT, "pushes"), result="success").add(1)
    state.histogram(DURATION, model="a").observe(0.3)
    state.snapshot(WEIGHTS, model="a").set(Distribution((-0.3, 0.0), (1, 2, 5), -0.75))
    shown = exposed(ours)
    # The SDK lower-cases every instrument's name, which is why Names tells AUC and auc apart.
    shown["gangplank_test_auc"] = shown.pop("gangplank_test_AUC")
    assert exposed(theirs) == shown
    provider.shutdown()

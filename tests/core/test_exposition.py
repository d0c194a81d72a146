"""The exposition: exactly the text that Prometheus reads."""

from __future__ import annotations

import math
import textwrap

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gangplank.catalogue import metric, model_metric
from gangplank.distribution import Distribution
from gangplank.exporters.exposition import Collected, hide, show, to_prometheus
from gangplank.metrics import Phase
from gangplank.state import State

LOSS = model_metric(Phase.TRAIN, "loss")
STEPS = metric(Phase.TRAIN, "steps")
DURATION = metric(Phase.TRAIN, "step_duration")
WEIGHTS = metric(Phase.TRAIN, "model_weights")


@pytest.fixture
def state() -> State:
    """A state with nothing in it."""
    return State()


@pytest.fixture
def registry(state: State) -> CollectorRegistry:
    """A registry that shows the state."""
    registry = CollectorRegistry()
    show(state, registry)
    return registry


def lines(text: str) -> bytes:
    """Return the text as it goes over the wire."""
    return textwrap.dedent(text).lstrip("\n").encode()


def test_a_state_without_values_is_empty_text(state: State, registry: CollectorRegistry) -> None:
    """No HELP line of a metric that has no series."""
    state.gauge(LOSS, model="net")
    assert generate_latest(registry) == b""


def test_a_gauge(state: State, registry: CollectorRegistry) -> None:
    """One line a series, in the order in which they came."""
    state.gauge(LOSS, model="net").set(0.25)
    state.gauge(LOSS, model="art").set(1)
    assert generate_latest(registry) == lines("""
        # HELP gangplank_train_loss The model's metric loss, as last reported.
        # TYPE gangplank_train_loss gauge
        gangplank_train_loss{model="net"} 0.25
        gangplank_train_loss{model="art"} 1.0
        """)


def test_a_gauge_of_seconds_and_one_without_labels(state: State, registry: CollectorRegistry) -> None:
    """The unit is in the name; a series without labels has no braces."""
    state.gauge(metric(Phase.EXPORT, "last_success_timestamp")).set(1_700_000_000.5)
    assert generate_latest(registry) == lines("""
        # HELP gangplank_export_last_success_timestamp_seconds Unix time of the last push that succeeded.
        # TYPE gangplank_export_last_success_timestamp_seconds gauge
        gangplank_export_last_success_timestamp_seconds 1.7000000005e+09
        """)


def test_a_counter(state: State, registry: CollectorRegistry) -> None:
    """TYPE line and sample both carry _total, and there is no _created."""
    state.counter(STEPS, model="net").add(3)
    assert generate_latest(registry) == lines("""
        # HELP gangplank_train_steps_total Optimizer steps (batches) taken.
        # TYPE gangplank_train_steps_total counter
        gangplank_train_steps_total{model="net"} 3.0
        """)


def test_a_histogram(state: State, registry: CollectorRegistry) -> None:
    """Cumulative buckets, closed by +Inf, then count and sum."""
    state.histogram(DURATION, model="net").observe(0.25, 2)
    text = generate_latest(registry).decode()
    assert text.startswith("# HELP gangplank_train_step_duration_seconds Time from the end of one training step")
    assert "# TYPE gangplank_train_step_duration_seconds histogram\n" in text
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0]
    name = "gangplank_train_step_duration_seconds"
    assert samples == [
        *(f'{name}_bucket{{le="{bound}",model="net"}} {2.0 if bound >= 0.25 else 0.0}' for bound in bounds),
        f'{name}_bucket{{le="+Inf",model="net"}} 2.0',
        f'{name}_count{{model="net"}} 2.0',
        f'{name}_sum{{model="net"}} 0.5',
    ]


def test_a_snapshot_with_negative_bounds_keeps_its_sum_and_count(state: State, registry: CollectorRegistry) -> None:
    """A gateway would make up a _sum of 0 where it is left out."""
    state.snapshot(WEIGHTS, model="net").set(Distribution((-0.3, 0.0, 0.3), (1, 2, 4, 5), -0.75))
    assert generate_latest(registry) == lines("""
        # HELP gangplank_train_model_weights Distribution of the trainable weights, when they were last read; \
NaN is in no bucket.
        # TYPE gangplank_train_model_weights histogram
        gangplank_train_model_weights_bucket{le="-0.3",model="net"} 1.0
        gangplank_train_model_weights_bucket{le="0.0",model="net"} 2.0
        gangplank_train_model_weights_bucket{le="0.3",model="net"} 4.0
        gangplank_train_model_weights_bucket{le="+Inf",model="net"} 5.0
        gangplank_train_model_weights_count{model="net"} 5.0
        gangplank_train_model_weights_sum{model="net"} -0.75
        """)


@pytest.mark.parametrize(("total", "shown"), [(math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf")])
def test_a_sum_that_is_not_finite_is_said_so(
    state: State, registry: CollectorRegistry, total: float, shown: str
) -> None:
    """Infinite weights have an infinite sum, which Prometheus can hold."""
    state.snapshot(WEIGHTS, model="net").set(Distribution((0.0,), (1, 2), total))
    assert f'gangplank_train_model_weights_sum{{model="net"}} {shown}\n' in generate_latest(registry).decode()


NASTY = ['say "hi"', "two\nlines", "back\\slash", 'all\\"\n', "é漢", "", "trailing\\", '{a="b"} 1']


@pytest.mark.parametrize("name", NASTY)
def test_label_values_are_escaped(state: State, registry: CollectorRegistry, name: str) -> None:
    """A model may be called anything, and is called that when the text is read back."""
    state.gauge(LOSS, model=name).set(1.0)
    text = generate_latest(registry).decode()
    escaped = name.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    assert text.splitlines()[2] == f'gangplank_train_loss{{model="{escaped}"}} 1.0'
    [family] = parse_text(text)
    assert [sample.labels for sample in family.samples] == [{"model": name}]


def test_openmetrics(state: State, registry: CollectorRegistry) -> None:
    """The same facts in the format that Prometheus asks for first."""
    state.gauge(LOSS, model="net").set(0.25)
    state.counter(STEPS, model="net").add(3)
    state.snapshot(WEIGHTS, model="net").set(Distribution((0.0,), (1, 2), 0.5))
    text = openmetrics.generate_latest(registry)
    assert text == lines("""
        # HELP gangplank_train_loss The model's metric loss, as last reported.
        # TYPE gangplank_train_loss gauge
        gangplank_train_loss{model="net"} 0.25
        # HELP gangplank_train_steps Optimizer steps (batches) taken.
        # TYPE gangplank_train_steps counter
        gangplank_train_steps_total{model="net"} 3.0
        # HELP gangplank_train_model_weights Distribution of the trainable weights, when they were last read; \
NaN is in no bucket.
        # TYPE gangplank_train_model_weights histogram
        gangplank_train_model_weights_bucket{le="0.0",model="net"} 1.0
        gangplank_train_model_weights_bucket{le="+Inf",model="net"} 2.0
        gangplank_train_model_weights_count{model="net"} 2.0
        gangplank_train_model_weights_sum{model="net"} 0.5
        # EOF
        """)
    assert [family.type for family in parse_openmetrics(text.decode())] == ["gauge", "counter", "histogram"]


def test_what_a_push_sends_is_what_was_read(state: State) -> None:
    """Families read at one moment do not change while they are sent."""
    loss = state.gauge(LOSS, model="net")
    loss.set(0.5)
    registry = CollectorRegistry()
    registry.register(Collected(map(to_prometheus, state.read())))
    loss.set(0.25)
    assert b'gangplank_train_loss{model="net"} 0.5\n' in generate_latest(registry)


def test_states_in_one_registry_make_one_family(state: State, registry: CollectorRegistry) -> None:
    """Beside what else is there, each TYPE line comes once; a state that is hidden is gone."""
    Counter("mine", "The user's own.", registry=registry).inc()
    other = State()
    show(other, registry)
    state.counter(STEPS, model="net").add(1)
    other.counter(STEPS, model="net").add(2)
    other.counter(STEPS, model="art").add(4)
    text = generate_latest(registry).decode()
    assert text.count("# TYPE gangplank_train_steps_total counter") == 1
    assert 'gangplank_train_steps_total{model="net"} 3.0' in text
    hide(state, registry)
    assert 'gangplank_train_steps_total{model="net"} 2.0' in generate_latest(registry).decode()
    hide(other, registry)
    assert "gangplank" not in generate_latest(registry).decode()
    assert "mine_total 1.0" in generate_latest(registry).decode()
    show(other, registry)
    assert 'gangplank_train_steps_total{model="art"} 4.0' in generate_latest(registry).decode()

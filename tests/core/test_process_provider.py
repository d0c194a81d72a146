"""The process's own provider: it can be set only once, and so each test has a process of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

PRELUDE = """
import json

from opentelemetry import metrics

from gangplank import Telemetry
from gangplank.catalogue import metric, model_metric
from gangplank.metrics import Phase
from gangplank.distribution import Distribution

LOSS = model_metric(Phase.TRAIN, "loss")
STEPS = metric(Phase.TRAIN, "steps")
DURATION = metric(Phase.TRAIN, "step_duration")
WEIGHTS = metric(Phase.TRAIN, "model_weights")


def provider():
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    return MeterProvider([reader]), reader


def show(reader):
    shown = {}
    for resource in reader.get_metrics_data().resource_metrics:
        for scope in resource.scope_metrics:
            for one in scope.metrics:
                for point in one.data.data_points:
                    labels = ",".join(point.attributes.values())
                    shown[f"{one.name} {labels}"] = getattr(point, "value", None) or point.count
    print(json.dumps(shown))
"""

Shown = Callable[[str], dict[str, float]]


@pytest.fixture
def shown(script: Callable[..., subprocess.CompletedProcess[str]]) -> Shown:
    """A function that runs a script behind the prelude, and returns what the provider showed at its end."""

    def run(source: str) -> dict[str, float]:
        process = script(PRELUDE + source)
        assert process.stderr == ""
        assert process.returncode == 0
        result: dict[str, float] = json.loads(process.stdout)
        return result

    return run


def test_a_provider_that_is_set_late_sees_everything(shown: Shown) -> None:
    """Gauges, counts and weights from before it was set, and durations from then on."""
    assert shown("""
telemetry = Telemetry()
telemetry.start()
state = telemetry.state
state.gauge(LOSS, model="a").set(0.5)
state.counter(STEPS, model="a").add(3)
state.snapshot(WEIGHTS, model="a").set(Distribution((0.0,), (1, 2), 0.5))
duration = state.histogram(DURATION, model="a")
own, reader = provider()
metrics.set_meter_provider(own)
duration.observe(0.5, 4)
state.gauge(model_metric(Phase.TRAIN, "accuracy"), model="a").set(0.25)
show(reader)
""") == {
        "gangplank_train_loss a": 0.5,
        "gangplank_train_steps a": 3,
        "gangplank_train_model_weights_bucket a,0.0": 1,
        "gangplank_train_model_weights_bucket a,+Inf": 2,
        "gangplank_train_model_weights_count a": 2,
        "gangplank_train_model_weights_sum a": 0.5,
        "gangplank_train_step_duration a": 4,
        "gangplank_train_accuracy a": 0.25,
    }


def test_a_telemetry_from_after_the_provider_was_set_loses_nothing(shown: Shown) -> None:
    """The first one's instruments were adopted by the provider; the second one's must not be made beside them."""
    assert shown("""
first, second = Telemetry(), Telemetry()
first.start()
first.state.gauge(LOSS, model="a").set(0.5)
own, reader = provider()
metrics.set_meter_provider(own)
second.start()
second.state.gauge(LOSS, model="b").set(0.25)
second.state.counter(STEPS, model="b").add(1)
second.state.histogram(DURATION, model="b").observe(0.5, 2)
show(reader)
""") == {
        "gangplank_train_loss a": 0.5,
        "gangplank_train_loss b": 0.25,
        "gangplank_train_steps b": 1,
        "gangplank_train_step_duration b": 2,
    }


def test_the_process_provider_given_by_name_is_the_same_provider(shown: Shown) -> None:
    """Passing explicitly what would be joined anyway makes no second binding."""
    assert shown("""
first = Telemetry()
first.start()
own, reader = provider()
metrics.set_meter_provider(own)
second = Telemetry(meter_provider=own)
second.start()
third = Telemetry(meter_provider=metrics.get_meter_provider())
third.start()
for name, telemetry in zip("abc", (first, second, third)):
    telemetry.state.gauge(LOSS, model=name).set(0.5)
show(reader)
""") == {"gangplank_train_loss a": 0.5, "gangplank_train_loss b": 0.5, "gangplank_train_loss c": 0.5}


def test_a_provider_that_is_joined_by_name_and_set_afterwards(shown: Shown) -> None:
    """As programs do that hand their provider to everyone before they make it the process's."""
    assert shown("""
own, reader = provider()
first = Telemetry(meter_provider=own)
first.start()
metrics.set_meter_provider(own)
second = Telemetry()
second.start()
first.state.gauge(LOSS, model="a").set(0.5)
second.state.gauge(LOSS, model="b").set(0.25)
show(reader)
""") == {"gangplank_train_loss a": 0.5, "gangplank_train_loss b": 0.25}


def test_a_provider_that_one_awaits_and_another_has_by_name(shown: Shown) -> None:
    """Both show once the provider is set: the SDK drops the callbacks of whatever is registered a second time."""
    assert shown("""
first = Telemetry()
first.start()
first.state.gauge(LOSS, model="a").set(0.5)
own, reader = provider()
second = Telemetry(meter_provider=own)
second.start()
second.state.gauge(LOSS, model="b").set(0.25)
metrics.set_meter_provider(own)
show(reader)
""") == {"gangplank_train_loss a": 0.5, "gangplank_train_loss b": 0.25}


def test_starting_sets_no_provider_and_needs_no_sdk(script: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """The process's provider is the process's business."""
    process = script(
        PRELUDE
        + """
import sys

before = metrics.get_meter_provider()
with Telemetry() as telemetry:
    telemetry.state.gauge(LOSS, model="a").set(0.5)
    telemetry.state.histogram(DURATION, model="a").observe(0.5)
print(metrics.get_meter_provider() is before, "opentelemetry.sdk" in sys.modules)
"""
    )
    assert (process.stdout, process.stderr) == ("True False\n", "")

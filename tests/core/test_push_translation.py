"""How a provider's metrics and their attributes are at a gateway: as they were, or as a gateway takes them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from pushes import NEVER, TRAIN, Pushed
from realservers import Gateway as RealGateway

from gangplank import PushgatewayMetricReader, Telemetry
from gangplank.catalogue import metric
from gangplank.distribution import Distribution
from gangplank.metrics import Phase


def test_an_exponential_histogram_is_a_histogram(pushing: Callable[..., Pushed]) -> None:
    """Bounds are those of its buckets; zeros are below all of them."""
    pushed = pushing(views=[View(instrument_name="h", aggregation=ExponentialBucketHistogramAggregation(max_size=4))])
    histogram = pushed.meter.create_histogram("h")
    recorded = [0.0, 0.3, 1.5, 3.0, 1000.0]
    for value in recorded:
        histogram.record(value)
    found = pushed.series()
    buckets = [(float(dict(labels)["le"]), count) for (name, labels), count in found.items() if name == "h_bucket"]
    assert buckets == sorted(buckets)
    assert buckets[-1] == (float("inf"), 5)
    assert all(count == sum(value <= bound for value in recorded) for bound, count in buckets)
    assert found["h_count", ()] == 5
    assert found["h_sum", ()] == pytest.approx(1004.8)


@pytest.mark.parametrize(
    "recorded", [[sys.float_info.max], [1e-300, 1e300], [5e-324], [5e-324, 1e-323, 1.5e-323], [0.0], [0.0, 5e-324]]
)
def test_an_exponential_histogram_of_extremes(pushing: Callable[..., Pushed], recorded: list[float]) -> None:
    """No bound is more than a number can be, nor there twice; and what else there is still arrives."""
    pushed = pushing(views=[View(instrument_name="h", aggregation=ExponentialBucketHistogramAggregation(max_size=2))])
    histogram = pushed.meter.create_histogram("h")
    for value in recorded:
        histogram.record(value)
    pushed.meter.create_counter("requests").add(3)
    found = pushed.series()
    assert found["requests_total", ()] == 3
    counts = [count for (name, _), count in found.items() if name == "h_bucket"]
    assert counts == sorted(counts)
    assert counts[-1] == found["h_count", ()] == len(recorded)


def test_weights_below_zero_are_a_histogram_again(pushed: Pushed) -> None:
    """They pass through the provider as gauges, which no instrument of its own could be."""
    telemetry = Telemetry(meter_provider=pushed.provider)
    telemetry.start()
    weights = metric(Phase.TRAIN, "model_weights")
    telemetry.state.snapshot(weights, model="b").set(Distribution((-10.0, -1.0, 0.0, 10.0), (1, 2, 3, 4, 5), -7.5))
    telemetry.state.snapshot(weights, model="a").set(Distribution((-10.0, -1.0, 0.0, 10.0), (0, 0, 0, 0, 0), 0.0))
    found = pushed.series(TRAIN)
    assert {name for name, _ in found} == {f"{weights.name}_{part}" for part in ("bucket", "count", "sum")}
    for model, counts in (("a", [0] * 5), ("b", [1, 2, 3, 4, 5])):
        buckets = [
            (dict(labels)["le"], value)
            for (name, labels), value in found.items()
            if name.endswith("_bucket") and ("model", model) in labels
        ]
        assert buckets == list(zip(["-10.0", "-1.0", "0.0", "10.0", "+Inf"], counts, strict=True))
    assert found[f"{weights.name}_sum", (("model", "b"),)] == -7.5
    body = next(request.body for request in pushed.gateway.requests if request.path == TRAIN)
    assert body.count("# TYPE") == 1
    assert f"# TYPE {weights.name} histogram\n" in body
    telemetry.close()


ATTRIBUTES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"name": "café 日本 \U0001f600"}, {"name": "café 日本 \U0001f600"}),
    ({"name": 'a"b\\c\nd\u2028e\x00'}, {"name": 'a"b\\c\nd\u2028e\x00'}),
    ({"a.b": True, "c-d": 1.5, "e": (1, 2)}, {"a_b": "true", "c_d": "1.5", "e": "[1, 2]"}),
    ({"empty": ""}, {}),
    ({"job": "mine", "instance": "here"}, {"exported_job": "mine", "instance": "here"}),
    ({"job": "mine", "exported_job": "theirs"}, {"exported_exported_job": "mine", "exported_job": "theirs"}),
    ({"phase": "x", "model": "y"}, {"phase": "x", "model": "y"}),
    ({"long": "x" * 10_000}, {"long": "x" * 10_000}),
]


@pytest.mark.parametrize(("attributes", "labels"), ATTRIBUTES)
def test_attributes_are_labels(pushed: Pushed, attributes: dict[str, Any], labels: dict[str, str]) -> None:
    """Whatever they are called and whatever is in them."""
    pushed.meter.create_counter("requests").add(3, attributes)
    [((name, found), value)] = pushed.series().items()
    assert (name, value) == ("requests_total", 3)
    assert dict(found).keys() == labels.keys() or "exported_exported_job" in labels
    assert sorted(dict(found).values()) == sorted(labels.values())


def test_an_attribute_that_no_encoding_can_hold(pushed: Pushed) -> None:
    """A file name of the program's, say: it must not keep everything else from the gateway for ever."""
    pushed.meter.create_counter("bad").add(1, {"file": "caf\udce9"})
    pushed.meter.create_counter("requests").add(3)
    assert pushed.series()["requests_total", ()] == 3


def test_attributes_called_as_a_label_of_the_group(pushing: Callable[..., Pushed]) -> None:
    """They do not vanish under it: they are renamed, and series that differ by nothing else stay two."""
    pushed = pushing(grouping_key={"instance": "one"})
    counter = pushed.meter.create_counter("requests")
    counter.add(1, {"instance": "a"})
    counter.add(2, {"instance": "b"})
    path = "/metrics/job/mnist/instance/one"
    assert pushed.series(path) == {("requests_total", (("exported_instance", x),)): n for x, n in (("a", 1), ("b", 2))}


def test_a_real_gateway_takes_every_attribute(gateway: RealGateway) -> None:
    """``le`` of a histogram too, for one that it does not take keeps all others from it."""
    reader = PushgatewayMetricReader(gateway.address, "mnist", interval=NEVER, grouping_key={"instance": "one"})
    provider = MeterProvider([reader], shutdown_on_exit=False)
    meter = provider.get_meter("app")
    names = ("job", "instance", "le", "quantile", "phase", "__name__", "__x", "target_info")
    for kind in ("counter", "histogram", "up_down_counter", "gauge"):
        made = getattr(meter, f"create_{kind}")(kind)
        for value, name in enumerate(names):
            getattr(made, {"histogram": "record", "gauge": "set"}.get(kind, "add"))(value, {name: "x"})
    assert reader.force_flush()
    assert len(gateway.series("counter_total")) == len(names)
    assert len(gateway.series("histogram_count")) == len(names)
    provider.shutdown()


def test_a_real_gateway_takes_a_metric_called_as_the_resource(gateway: RealGateway) -> None:
    """Two of one name in a body would be refused."""
    reader = PushgatewayMetricReader(gateway.address, "mnist", interval=NEVER)
    provider = MeterProvider([reader], Resource({"service.version": "1"}), shutdown_on_exit=False)
    provider.get_meter("app").create_gauge("target_info").set(1)
    provider.get_meter("app").create_counter("requests").add(3)
    assert reader.force_flush()
    assert gateway.value("requests_total") == 3
    provider.shutdown()


def test_two_scopes_with_one_metric(pushed: Pushed) -> None:
    """Counts of the same series are added; the labels of the one are not taken for those of the other."""
    one, other = (pushed.provider.get_meter(name).create_counter("requests") for name in ("a", "b"))
    one.add(1, {"route": "/"})
    other.add(2, {"route": "/"})
    assert pushed.series() == {("requests_total", (("route", "/"),)): 3}
    other.add(4, {"method": "GET"})
    assert pushed.series() == {
        ("requests_total", (("route", "/"),)): 3,
        ("requests_total", (("method", "GET"),)): 4,
    }


def test_two_scopes_with_one_name_for_two_things(pushed: Pushed, caplog: pytest.LogCaptureFixture) -> None:
    """One of them is pushed, the other is logged once and counted."""
    pushed.provider.get_meter("a").create_histogram("things").record(1)
    pushed.provider.get_meter("b").create_gauge("things").set(1)
    pushed.series()
    found = pushed.series()
    assert {name for name, _ in found} == {"things_bucket", "things_count", "things_sum"}
    [record] = caplog.records
    assert "things" in record.getMessage()
    pushed.reader.force_flush()
    assert 'gangplank_export_errors_total{error_type="ExportError"} 3.0\n' in pushed.gateway.requests[-1].body

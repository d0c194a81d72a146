"""The push exit of a MeterProvider: what of it lands where, and what a gateway is never sent."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from prometheus_client.parser import text_string_to_metric_families
from pushes import BASE, LOSS, NEVER, TEST, TEST_LOSS, TRAIN, last, values
from realservers import Gateway as RealGateway

from gangplank import ExportError, PushgatewayMetricReader, Telemetry
from gangplank.catalogue import metric
from gangplank.distribution import Distribution
from gangplank.metrics import Phase
from gangplank.testing import FakeGateway, Request

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]
OWN = "gangplank_export_"


class Pushed:
    """A provider with a reader that pushes, and what the gateway got."""

    def __init__(self, gateway: FakeGateway, **settings: Any) -> None:
        self.gateway = gateway
        views, resource = settings.pop("views", ()), settings.pop("resource", {})
        job = settings.pop("job", "mnist")
        settings.setdefault("interval", NEVER)
        self.reader = PushgatewayMetricReader(gateway.address, job, **settings)
        self.provider = MeterProvider([self.reader], Resource(resource), shutdown_on_exit=False, views=views)
        self.meter = self.provider.get_meter("app")

    def series(self, path: str = BASE) -> Series:
        """Flush, and return what was sent to ``path`` last, the export's own numbers left out."""
        assert self.reader.force_flush()
        return series([request for request in self.gateway.requests if request.path == path][-1])


def series(request: Request) -> Series:
    """Return the value of each series of a request; one that is there twice is a failure."""
    found: Series = {}
    for family in text_string_to_metric_families(request.body):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return {key: value for key, value in found.items() if not key[0].startswith((OWN, "target_info"))}


@pytest.fixture
def pushing(fake_gateway: FakeGateway) -> Iterator[Callable[..., Pushed]]:
    """A function that makes providers that push to the fake gateway."""
    made: list[Pushed] = []

    def make(**settings: Any) -> Pushed:
        made.append(Pushed(fake_gateway, **settings))
        return made[-1]

    yield make
    fake_gateway.held.set()
    for one in made:
        one.reader.shutdown()


@pytest.fixture
def pushed(pushing: Callable[..., Pushed]) -> Pushed:
    """A provider that pushes to the fake gateway."""
    return pushing()


def test_each_thing_lands_in_its_group(pushed: Pushed) -> None:
    """Gangplank's as from a telemetry's own exporter, and the rest with the export's numbers by PUT."""
    telemetry = Telemetry(meter_provider=pushed.provider)
    telemetry.start()
    telemetry.state.gauge(LOSS, model="net").set(0.5)
    telemetry.state.gauge(TEST_LOSS, model="net").set(0.75)
    telemetry.state.gauge(metric(Phase.TRAIN, "last_success_timestamp"), model="net").set(1)
    pushed.meter.create_counter("requests").add(3, {"route": "/"})
    pushed.provider.shutdown()
    telemetry.close()
    requests = pushed.gateway.requests
    assert [(request.method, request.path) for request in requests] == [
        ("PUT", TRAIN),
        ("POST", f"{BASE}/model/net"),
        ("PUT", TEST),
        ("PUT", BASE),
    ]
    assert values(requests[0]) == {"gangplank_train_loss": 0.5}
    assert values(requests[1]) == {"gangplank_train_last_success_timestamp_seconds": 1}
    assert values(requests[2]) == {"gangplank_test_loss": 0.75}
    assert series(requests[3]) == {("requests_total", (("route", "/"),)): 3}
    assert 'gangplank_export_pushes_total{result="success"} 3.0\n' in requests[3].body
    assert "otel_scope" not in "".join(request.body for request in requests)


def test_by_post_if_asked(pushing: Callable[..., Pushed]) -> None:
    """Everywhere."""
    pushed = pushing(method="POST")
    pushed.meter.create_counter("requests").add(3)
    pushed.provider.shutdown()
    assert {request.method for request in pushed.gateway.requests} == {"POST"}


def test_nothing_but_the_resource_is_not_pushed(pushed: Pushed) -> None:
    """A process that has measured nothing must not replace what another has."""
    assert pushed.reader.force_flush()
    pushed.meter.create_counter("requests")
    assert pushed.reader.force_flush()
    pushed.provider.shutdown()
    assert pushed.gateway.requests == []


def test_a_reader_of_no_provider_pushes_nothing(fake_gateway: FakeGateway, caplog: pytest.LogCaptureFixture) -> None:
    """And complains of nothing."""
    reader = PushgatewayMetricReader(fake_gateway.address, "mnist", interval=NEVER)
    assert reader.force_flush()
    reader.shutdown()
    assert fake_gateway.requests == []
    assert caplog.records == []


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


def test_collecting_by_hand_does_not_count_twice(pushed: Pushed) -> None:
    """``collect`` is a reader's public method; what it collects is not added to the next push."""
    pushed.meter.create_counter("requests").add(3)
    pushed.meter.create_histogram("h").record(1)
    pushed.reader.collect()
    pushed.reader.collect()
    found = pushed.series()
    assert (found["requests_total", ()], found["h_count", ()]) == (3, 1)


def test_flushes_from_many_threads(pushed: Pushed) -> None:
    """Each is told of a push that began after it asked."""
    counter = pushed.meter.create_counter("requests")

    def flush(_: int) -> float:
        counter.add(1)
        assert pushed.reader.force_flush()
        return values(pushed.gateway.requests[-1])["requests_total"]

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(flush, range(40))) == 40


def test_the_providers_force_flush_reaches_the_gateway(pushed: Pushed) -> None:
    """Unlike that of the SDK's own Prometheus reader."""
    pushed.meter.create_counter("requests").add(3)
    assert pushed.provider.force_flush()
    assert last(pushed.gateway.requests, BASE)["requests_total"] == 3


def test_a_flush_that_fails_is_false_and_bounded(pushed: Pushed, caplog: pytest.LogCaptureFixture) -> None:
    """It raises nothing: the SDK's callers would not catch it."""
    pushed.meter.create_counter("requests").add(3)
    pushed.gateway.status = 500
    assert not pushed.reader.force_flush()
    pushed.gateway.status = 200
    assert pushed.reader.force_flush()
    pushed.gateway.held.clear()
    assert not pushed.reader.force_flush(100)
    pushed.gateway.held.set()
    assert "could not flush" in caplog.text


def test_a_shutdown_pushes_the_last_values_once(pushed: Pushed) -> None:
    """A second one does nothing, and what comes after is not pushed, nor said to be."""
    counter = pushed.meter.create_counter("requests")
    counter.add(3)
    pushed.provider.shutdown()
    assert [values(request)["requests_total"] for request in pushed.gateway.requests] == [3]
    counter.add(1)
    pushed.reader.shutdown()
    pushed.reader.shutdown(timeout_millis=1)
    assert not pushed.reader.force_flush()
    assert len(pushed.gateway.requests) == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "gangplank-pushgateway"]


def test_a_shutdown_is_bounded(pushing: Callable[..., Pushed]) -> None:
    """By the timeout of a push, also where the SDK would wait for half a minute."""
    pushed = pushing(timeout=0.2)
    pushed.meter.create_counter("requests").add(3)
    pushed.gateway.held.clear()
    ending = threading.Thread(target=pushed.provider.shutdown)
    ending.start()
    ending.join(10)
    assert not ending.is_alive()
    pushed.gateway.held.set()


def test_a_reader_that_is_removed_wipes_nothing(pushed: Pushed) -> None:
    """The provider has let go of it, and it has nothing to say any more: least of all that there is nothing."""
    telemetry = Telemetry(meter_provider=pushed.provider)
    telemetry.start()
    telemetry.state.gauge(LOSS, model="net").set(0.5)
    pushed.meter.create_counter("requests").add(3)
    assert pushed.reader.force_flush()
    pushed.provider.remove_metric_reader(pushed.reader)
    for path in (TRAIN, BASE):
        sent = [request for request in pushed.gateway.requests if request.path == path and request.method == "PUT"]
        assert series(sent[-1]), "an earlier push was replaced by nothing"
    telemetry.close()


def test_metrics_that_are_gone_for_a_moment_wipe_nothing_of_the_exports(pushed: Pushed) -> None:
    """No body is ever empty, and what is shown is what is true: observations that are no more are not shown."""
    present = [3.0]
    pushed.meter.create_observable_gauge("depth", [lambda _: [Observation(value) for value in present]])
    assert pushed.series() == {("depth", ()): 3}
    present.clear()
    assert pushed.series() == {}
    assert all(request.body.strip() for request in pushed.gateway.requests)


def test_a_callback_that_raises_does_not_keep_the_rest(pushed: Pushed) -> None:
    """Nor one that yields what is no number."""

    def failing(_: CallbackOptions) -> list[Observation]:
        raise RuntimeError("whatever")

    pushed.meter.create_observable_gauge("broken", [failing])
    pushed.meter.create_observable_gauge("odd", [lambda _: [Observation(float("nan"))]])
    pushed.meter.create_counter("requests").add(3)
    assert pushed.series()["requests_total", ()] == 3


@pytest.mark.parametrize("reader_first", ["True", ""])
def test_a_reader_that_is_added_late_pushes_all(
    fake_gateway: FakeGateway, script: Callable[..., Any], reader_first: str
) -> None:
    """At the end of the program too, though its provider shuts down only readers that it was made with."""
    ended = script(
        """
        import sys
        from opentelemetry.metrics import Observation
        from opentelemetry.sdk.metrics import MeterProvider
        from gangplank import PushgatewayMetricReader
        made = {}
        make = {
            "reader": lambda: PushgatewayMetricReader(sys.argv[1], "mnist", interval=3600),
            "provider": MeterProvider,
        }
        for part in sorted(make, reverse=bool(sys.argv[2])):
            made[part] = make[part]()
        meter = made["provider"].get_meter("app")
        counter = meter.create_counter("requests")
        meter.create_observable_gauge("depth", [lambda _: [Observation(7)]])
        made["provider"].add_metric_reader(made["reader"])
        counter.add(3)
        """,
        fake_gateway.address,
        reader_first,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert last(fake_gateway.requests, BASE).items() >= {"requests_total": 3.0, "depth": 7.0}.items()


def test_given_beside_another_reader(fake_gateway: FakeGateway) -> None:
    """Neither takes from the other, and a snapshot of the one is not one of the other."""
    memory = InMemoryMetricReader()
    reader = PushgatewayMetricReader(fake_gateway.address, "mnist", interval=NEVER)
    provider = MeterProvider([memory, reader], shutdown_on_exit=False)
    provider.get_meter("app").create_counter("requests").add(3)
    assert provider.force_flush()
    data: Any = memory.get_metrics_data()
    assert data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0].value == 3
    assert last(fake_gateway.requests, BASE)["requests_total"] == 3
    provider.shutdown()


JOBS: list[tuple[dict[str, Any], str]] = [
    ({"service.name": "shop"}, "/metrics/job/shop"),
    ({"service.name": "shop", "service.namespace": "team"}, "/metrics/job@base64/dGVhbS9zaG9w"),
    ({}, "/metrics/job/unknown_service"),
    ({"service.name": ""}, "/metrics/job/unknown_service"),
    ({"service.name": "..", "service.namespace": ""}, "/metrics/job@base64/Li4="),
]


@pytest.mark.parametrize(("resource", "path"), JOBS)
def test_the_job_is_that_of_the_resource(pushing: Callable[..., Pushed], resource: dict[str, Any], path: str) -> None:
    """If nothing else is said."""
    pushed = pushing(job=None, resource=resource)
    pushed.meter.create_counter("requests").add(3)
    pushed.provider.shutdown()
    assert [request.path for request in pushed.gateway.requests] == [path]


def test_a_resource_that_no_path_can_hold(pushing: Callable[..., Pushed]) -> None:
    """It is pushed all the same, under what can be held of it."""
    pushed = pushing(job=None, resource={"service.name": "caf\udce9"})
    pushed.meter.create_counter("requests").add(3)
    assert pushed.reader.force_flush()
    pushed.provider.shutdown()
    assert pushed.gateway.requests[0].path.startswith("/metrics/job")


def test_given_to_a_telemetry(fake_gateway: FakeGateway) -> None:
    """Flushed and closed with it; a model without a name is a model too."""
    reader = PushgatewayMetricReader(fake_gateway.address, "mnist", interval=NEVER)
    with Telemetry(exporters=[reader]) as telemetry:
        telemetry.state.gauge(LOSS, model="net").set(0.5)
        telemetry.flush()
        assert last(fake_gateway.requests, TRAIN) == {"gangplank_train_loss": 0.5}
        telemetry.state.gauge(LOSS, model="net").set(0.25)
    assert last(fake_gateway.requests, TRAIN) == {"gangplank_train_loss": 0.25}


def test_a_telemetrys_flush_says_that_it_failed(fake_gateway: FakeGateway) -> None:
    """As with any other exit: the reader knows, and says so."""
    reader = PushgatewayMetricReader(fake_gateway.address, "mnist", interval=NEVER)
    with Telemetry(exporters=[reader]) as telemetry:
        telemetry.state.gauge(LOSS, model="net").set(0.5)
        fake_gateway.status = 500
        with pytest.raises(ExportError):
            telemetry.flush()
        fake_gateway.status = 200


def test_a_model_without_a_name(fake_gateway: FakeGateway) -> None:
    """An empty label is none, and still there is a group for what lasts."""
    reader = PushgatewayMetricReader(fake_gateway.address, "mnist", interval=NEVER)
    with Telemetry(exporters=[reader]) as telemetry:
        telemetry.state.gauge(metric(Phase.TRAIN, "last_success_timestamp"), model="").set(1)
        telemetry.state.gauge(LOSS, model="").set(0.5)
    assert {request.path for request in fake_gateway.requests} >= {TRAIN, f"{BASE}/model@base64/=", BASE}


def test_failures_are_counted_where_they_arrive_later(pushed: Pushed) -> None:
    """With the first push that is accepted."""
    pushed.meter.create_counter("requests").add(3)
    pushed.gateway.status = 503
    assert not pushed.reader.force_flush()
    assert not pushed.reader.force_flush()
    pushed.gateway.status = 200
    assert pushed.reader.force_flush()
    assert pushed.reader.force_flush()
    body = pushed.gateway.requests[-1].body
    assert 'gangplank_export_pushes_total{result="failure"} 2.0\n' in body
    assert 'gangplank_export_pushes_total{result="success"} 1.0\n' in body
    assert 'gangplank_export_errors_total{error_type="RefusedError"} 2.0\n' in body


def test_the_exports_of_several_exits_are_in_one_body_once(pushed: Pushed) -> None:
    """A telemetry that is joined has trouble of its own to count: it is added up."""
    telemetry = Telemetry(meter_provider=pushed.provider)
    telemetry.start()
    telemetry.trouble.report("do whatever", KeyError("whatever"))
    pushed.meter.create_counter("requests").add(3)
    pushed.series()
    assert 'gangplank_export_errors_total{error_type="KeyError"} 1.0\n' in pushed.gateway.requests[-1].body
    telemetry.close()


def test_a_forked_child_pushes_nothing(fake_gateway: FakeGateway, script: Callable[..., Any]) -> None:
    """Of what its parent has; neither when it flushes nor at its end."""
    ended = script(
        """
        import os, sys, warnings
        from opentelemetry.sdk.metrics import MeterProvider
        from gangplank import PushgatewayMetricReader
        warnings.simplefilter("ignore", DeprecationWarning)  # threads and fork are what this is about
        warnings.simplefilter("ignore", ResourceWarning)  # the child has a copy of its parent's connection
        reader = PushgatewayMetricReader(sys.argv[1], "mnist", interval=3600)
        provider = MeterProvider([reader])
        counter = provider.get_meter("app").create_counter("requests")
        counter.add(7)
        provider.force_flush()
        if os.fork() == 0:
            counter.add(92)
            provider.force_flush()
            sys.exit()
        os.wait()
        counter.add(1)
        """,
        fake_gateway.address,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [values(request)["requests_total"] for request in fake_gateway.requests] == [7, 8]


def test_a_program_for_which_warnings_are_errors_ends_quietly(
    fake_gateway: FakeGateway, script: Callable[..., Any]
) -> None:
    """Also if it has pushed before: the connection of the last push is closed, too."""
    ended = script(
        """
        import sys
        from opentelemetry.sdk.metrics import MeterProvider
        from gangplank import PushgatewayMetricReader
        provider = MeterProvider([PushgatewayMetricReader(sys.argv[1], "mnist", interval=3600)])
        provider.get_meter("app").create_counter("requests").add(3)
        provider.force_flush()
        """,
        fake_gateway.address,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [values(request)["requests_total"] for request in fake_gateway.requests] == [3, 3]


def test_the_programs_random_numbers_are_its_own(pushing: Callable[..., Pushed]) -> None:
    """A seeded program draws the same numbers with telemetry as without; and seeds do not make pushes coincide."""
    random.seed(7)
    expected = [random.random() for _ in range(3)]  # noqa: S311 - no secret
    random.seed(7)
    pushed = pushing()
    drawn = [random.random()]  # noqa: S311
    pushed.meter.create_counter("requests").add(3)
    pushed.gateway.status = 503
    pushed.reader.force_flush()
    drawn.append(random.random())  # noqa: S311
    pushed.reader.shutdown()
    drawn.append(random.random())  # noqa: S311
    assert drawn == expected

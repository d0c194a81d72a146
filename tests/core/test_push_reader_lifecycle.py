"""From when to when a reader pushes: flushes, the end of its provider or its program, and children of that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pushes import BASE, LOSS, TRAIN, Pushed, last, series, values

from gangplank import Telemetry
from gangplank.testing import FakeGateway


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

"""The scrape exit, over real HTTP and HTTPS on loopback."""

from __future__ import annotations

import gzip
import re
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from gangplank import ConfigurationError, PrometheusExporter, ServerStartError, Telemetry
from gangplank.catalogue import metric, model_metric
from gangplank.exporters.scrape import Scrape
from gangplank.metrics import Phase
from gangplank.testing import InMemoryExporter

LOSS = model_metric(Phase.TRAIN, "loss")
STEPS = metric(Phase.TRAIN, "steps")
LINE = 'gangplank_train_loss{model="net"} 0.5\n'


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """A telemetry with a loss in it."""
    with Telemetry() as telemetry:
        telemetry.state.gauge(LOSS, model="net").set(0.5)
        yield telemetry


def get(url: str, accept: str = "*/*") -> tuple[str, str]:
    """Return the content type and the text at ``url``."""
    with urlopen(Request(url, headers={"Accept": accept}), timeout=10) as reply:
        return reply.headers["Content-Type"], reply.read().decode()


def port_of(server: Scrape) -> int:
    """Return the port that the server listens on."""
    return int(server.url.rpartition(":")[2].removesuffix("/metrics"))


def test_port_zero_takes_a_free_port_and_the_url_tells_which(telemetry: Telemetry) -> None:
    """On loopback, unless told otherwise."""
    server = telemetry.attach(PrometheusExporter(port=0))
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9][0-9]*/metrics", server.url)
    assert server.url in repr(server)
    assert LINE in get(server.url)[1]


def test_the_default_is_9464_on_loopback() -> None:
    """The port that OpenTelemetry's exporters have, reachable from this machine only."""
    assert repr(PrometheusExporter()) == "PrometheusExporter(port=9464, host='127.0.0.1')"


def test_an_ipv6_host_is_in_brackets(telemetry: Telemetry) -> None:
    """As URLs have it."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    server = telemetry.attach(PrometheusExporter(port=0, host="::1"))
    assert server.url.startswith("http://[::1]:")
    assert LINE in get(server.url)[1]


@pytest.mark.parametrize("path", ["", "/", "/metrics", "/any/where?x=y"])
def test_any_path_answers(telemetry: Telemetry, path: str) -> None:
    """As with the predecessor, whose users scrape what path they like."""
    server = telemetry.attach(PrometheusExporter(port=0))
    assert LINE in get(server.url.removesuffix("/metrics") + path)[1]


def test_the_format_is_the_one_that_was_asked_for(telemetry: Telemetry) -> None:
    """Text for curl, OpenMetrics for Prometheus, and the same values in both."""
    telemetry.state.counter(STEPS, model="net").add(3)
    server = telemetry.attach(PrometheusExporter(port=0))
    kind, text = get(server.url)
    assert kind.startswith("text/plain; version=0.0.4")
    assert "# TYPE gangplank_train_steps_total counter" in text
    kind, text = get(server.url, "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")
    values = {sample.name: sample.value for family in parse_openmetrics(text) for sample in family.samples}
    assert values == {"gangplank_train_loss": 0.5, "gangplank_train_steps_total": 3}


def test_text_is_compressed_for_who_can_read_it(telemetry: Telemetry) -> None:
    """Prometheus always asks for it."""
    server = telemetry.attach(PrometheusExporter(port=0))
    with urlopen(Request(server.url, headers={"Accept-Encoding": "gzip"}), timeout=10) as reply:
        assert reply.headers["Content-Encoding"] == "gzip"
        assert LINE.encode() in gzip.decompress(reply.read())


def test_a_scrape_shows_what_is_true_now(telemetry: Telemetry) -> None:
    """A loss that turned NaN is gone from the next scrape."""
    server = telemetry.attach(PrometheusExporter(port=0))
    assert LINE in get(server.url)[1]
    telemetry.state.gauge(LOSS, model="net").set(float("nan"))
    assert "gangplank_train_loss" not in get(server.url)[1]


@pytest.mark.parametrize("close", [lambda server: server.close(), lambda server: server.close(1.0)])
def test_closing_frees_the_port(telemetry: Telemetry, close: Callable[[Scrape], None]) -> None:
    """The next server can have it at once, and the thread is gone."""
    before = set(threading.enumerate())
    server = telemetry.attach(PrometheusExporter(port=0))
    assert LINE in get(server.url)[1]
    close(server)
    close(server)
    assert not [thread for thread in set(threading.enumerate()) - before if "serve_forever" in thread.name]
    with pytest.raises(OSError, match="refused"):
        get(server.url)
    again = telemetry.attach(PrometheusExporter(port=port_of(server)))
    assert again.url == server.url
    assert LINE in get(again.url)[1]


def test_a_taken_port_is_named() -> None:
    """So that whoever reads the log knows which, and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        telemetry = Telemetry(exporters=[PrometheusExporter(port=port)])
        with pytest.raises(ServerStartError, match=f"127.0.0.1:{port}.*port=0") as caught:
            telemetry.start()
        assert isinstance(caught.value, OSError)
        telemetry.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "two..dots"])
def test_a_host_that_is_not_this_machines_is_named(telemetry: Telemetry, host: str) -> None:
    """Whether it is somebody else's, unknown, or no host name at all."""
    with pytest.raises(ServerStartError, match=re.escape(f"{host}:0")):
        telemetry.attach(PrometheusExporter(port=0, host=host))


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"port": "9464"}, TypeError),
        ({"port": -1}, ConfigurationError),
        ({"host": None}, TypeError),
        ({"host": ""}, ConfigurationError),
        ({"registry": InMemoryExporter()}, TypeError),
        ({"certfile": 3, "keyfile": 3}, TypeError),
        ({"certfile": "/no/such/file", "keyfile": "/no/such/file"}, ConfigurationError),
    ],
)
def test_wrong_settings_are_refused_by_name(settings: dict[str, Any], error: type[Exception]) -> None:
    """At construction, long before a training run would find out."""
    with pytest.raises(error, match=f"^{next(iter(settings))} "):
        PrometheusExporter(**settings)


def test_a_registry_with_the_users_own_metrics(telemetry: Telemetry) -> None:
    """Both are served, and ours leave it when the server is closed."""
    registry = CollectorRegistry()
    Counter("mine", "The user's own.", registry=registry).inc()
    server = telemetry.attach(PrometheusExporter(port=0, registry=registry))
    text = get(server.url)[1]
    assert LINE in text
    assert "mine_total 1.0" in text
    server.close()
    assert registry.get_sample_value("gangplank_train_loss", {"model": "net"}) is None
    assert registry.get_sample_value("mine_total") == 1.0


def test_two_telemetries_on_one_registry(telemetry: Telemetry) -> None:
    """Each family comes once, with the series of both."""
    registry = CollectorRegistry()
    server = telemetry.attach(PrometheusExporter(port=0, registry=registry))
    with Telemetry() as other:
        other.state.gauge(LOSS, model="art").set(0.25)
        other.attach(PrometheusExporter(port=0, registry=registry))
        text = get(server.url)[1]
        assert text.count("# TYPE gangplank_train_loss gauge\n") == 1
        assert LINE in text
        assert 'gangplank_train_loss{model="art"} 0.25\n' in text
    text = get(server.url)[1]
    assert LINE in text
    assert "art" not in text

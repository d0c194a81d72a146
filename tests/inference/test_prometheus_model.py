"""PrometheusModel: predictions of real models in the text that a scrape gets."""

from __future__ import annotations

import copy
import gc
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from inference_suite import SAMPLES, at_once, dense, samples
from prometheus_client import REGISTRY, CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from realservers import free_port, get

import gangplank
from gangplank import Drift, PrometheusModel, ServerStartError
from gangplank.exporters.scrape import ScrapeServer

Values = dict[str, float]
TOTALS = (
    "gangplank_predict_total",
    "gangplank_predict_time_seconds_total",
    "gangplank_predict_call_total",
    "gangplank_predict_call_time_seconds_total",
)


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry with nothing in it."""
    return CollectorRegistry()


@pytest.fixture
def made(registry: CollectorRegistry) -> Iterator[Callable[..., Any]]:
    """A function that makes PrometheusModels of ``registry``, and lets go of their ports in the end."""
    telemetries = []

    def make(model: Any = None, **options: Any) -> Any:
        proxy = PrometheusModel(dense() if model is None else model, **{"registry": registry, **options})
        telemetries.append(proxy.telemetry)
        return proxy

    yield make
    for telemetry in telemetries:
        telemetry.close()


def _values(text: str, **labels: str) -> Values:
    """Return the samples of a scrape that have these labels, by name."""
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if labels.items() <= sample.labels.items()
    }


def _shown(registry: CollectorRegistry, **labels: str) -> Values:
    return _values(generate_latest(registry).decode(), **labels)


def test_what_the_predecessor_showed(made: Callable[..., Any], registry: CollectorRegistry) -> None:
    """The four counters are there at 0 before the first call, and count samples and seconds from then on."""
    proxy = made()
    assert {name: _shown(registry, model="net")[name] for name in TOTALS} == dict.fromkeys(TOTALS, 0)
    proxy.predict(samples(), batch_size=2, verbose=0, steps=2, callbacks=[])
    proxy(samples())
    shown = _shown(registry, model="net")
    assert shown["gangplank_predict_total"] == 4
    assert shown["gangplank_predict_call_total"] == SAMPLES
    assert shown["gangplank_predict_time_seconds_total"] > 0
    assert shown["gangplank_predict_call_time_seconds_total"] > 0


def test_the_text_of_a_scrape(made: Callable[..., Any], registry: CollectorRegistry) -> None:
    """Types and labels are what dashboards count on; nothing of OpenTelemetry's shows."""
    proxy = made()
    proxy.predict(samples(), verbose=0)
    lines = generate_latest(registry).decode().splitlines()
    assert "# TYPE gangplank_predict_total counter" in lines
    assert 'gangplank_predict_total{model="net"} 7.0' in lines
    assert 'gangplank_predict_call_total{model="net"} 0.0' in lines
    assert "# TYPE gangplank_predict_duration_seconds histogram" in lines
    assert 'gangplank_predict_duration_seconds_count{error_type="",method="predict",model="net"} 1.0' in lines
    assert 'gangplank_predict_batch_size_bucket{le="8.0",model="net"} 1.0' in lines
    assert 'gangplank_predict_batch_size_bucket{le="4.0",model="net"} 0.0' in lines
    assert 'gangplank_predict_in_flight{model="net"} 0.0' in lines
    assert not any("otel_scope" in line or "target_info" in line for line in lines)


def test_the_registry_of_the_process() -> None:
    """Without a registry it is prometheus_client's, beside what else the program shows there."""
    other = Counter("orders", "Orders.", registry=REGISTRY)
    proxy = PrometheusModel(dense("of_the_process"))
    try:
        other.inc()
        proxy.predict(samples(), verbose=0)
        assert _shown(REGISTRY)["orders_total"] == 1
        assert _shown(REGISTRY, model="of_the_process")["gangplank_predict_total"] == SAMPLES
    finally:
        proxy.telemetry.close()
        REGISTRY.unregister(other)
    assert "gangplank_predict_total" not in _shown(REGISTRY)


def test_a_port(made: Callable[..., Any]) -> None:
    """Any path of it answers, on loopback; a second model of the registry shares it."""
    port = free_port()
    first, second = made(port=port), made(dense("other"), port=port)
    assert first.telemetry is second.telemetry
    first.predict(samples(), verbose=0)
    second(samples())
    for path in ("", "/", "/metrics", "/anything?at=all"):
        text = get(f"http://127.0.0.1:{port}{path}")
        assert _values(text, model="net")["gangplank_predict_total"] == SAMPLES
        assert _values(text, model="other")["gangplank_predict_call_total"] == SAMPLES
    (url,) = [handle.url for handle in first.telemetry.handles if isinstance(handle, ScrapeServer)]
    assert url == f"http://127.0.0.1:{port}/metrics"


def test_port_0(made: Callable[..., Any]) -> None:
    """The system chooses a port, of which the telemetry's handle tells."""
    proxy = made(port=0)
    (url,) = [handle.url for handle in proxy.telemetry.handles if isinstance(handle, ScrapeServer)]
    assert not url.endswith(":0/metrics")
    proxy.predict_on_batch(samples())
    assert _values(get(url), model="net")["gangplank_predict_total"] == SAMPLES


def test_a_host(made: Callable[..., Any]) -> None:
    """Another address of this machine, if asked for."""
    port = free_port()
    made(port=port, host="127.0.0.2")
    assert "gangplank_predict_total" in get(f"http://127.0.0.2:{port}/metrics")
    with pytest.raises(OSError, match="refused"):
        get(f"http://127.0.0.1:{port}/metrics")


def test_equal_names(made: Callable[..., Any], registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    """The second model of a name is ``net_2``, which is logged; ``name=`` shares, and a free name is used again."""
    first, second = made(), made()
    assert "exported as 'net_2'" in caplog.text
    third, shared = made(), made(name="net")
    for rows, proxy in enumerate((first, second, third, shared), start=1):
        proxy.predict(samples(rows), verbose=0)
    counted = [_shown(registry, model=name)["gangplank_predict_total"] for name in ("net", "net_2", "net_3")]
    assert counted == [1 + 4, 2, 3]
    del second, proxy
    gc.collect()
    made().predict(samples(), verbose=0)
    assert _shown(registry, model="net_2")["gangplank_predict_total"] == 2 + SAMPLES


def test_registries_are_apart(made: Callable[..., Any], registry: CollectorRegistry) -> None:
    """One name in two registries is one name in each."""
    elsewhere = CollectorRegistry()
    made().predict(samples(), verbose=0)
    made(registry=elsewhere).predict(samples(3), verbose=0)
    assert _shown(registry, model="net")["gangplank_predict_total"] == SAMPLES
    assert _shown(elsewhere, model="net")["gangplank_predict_total"] == 3


def test_a_port_that_is_taken(made: Callable[..., Any], registry: CollectorRegistry) -> None:
    """It is an OSError that says so; no server, no thread and no name is left, and the next attempt succeeds."""
    taken = free_port()
    made(registry=CollectorRegistry(), port=taken)
    threads = set(threading.enumerate())
    with pytest.raises(ServerStartError, match=str(taken)) as caught:
        made(port=taken)
    assert isinstance(caught.value, OSError)
    assert set(threading.enumerate()) == threads
    assert generate_latest(registry) == b""
    port = free_port()
    proxy = made(port=port)
    proxy.predict(samples(), verbose=0)
    assert _values(get(f"http://127.0.0.1:{port}"), model="net")["gangplank_predict_total"] == SAMPLES


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"model": None}, TypeError, "model must be a Keras model, not None"),
        ({"registry": "REGISTRY"}, TypeError, "registry must be a prometheus_client.CollectorRegistry"),
        ({"registry": None}, TypeError, "registry must be a prometheus_client.CollectorRegistry"),
        ({"port": "8561"}, TypeError, "port must be an integer, not '8561'"),
        ({"port": 70000}, ValueError, "port must be from 0"),
        ({"get_drift_metrics_func": "x"}, TypeError, "get_drift_metrics_func must be callable"),
        ({"host": 3}, TypeError, "host must be a string"),
        ({"host": ""}, ValueError, "host must not be empty"),
        ({"name": ""}, ValueError, "name must not be empty"),
        ({"drift_inline": None}, TypeError, "drift_inline must be True or False"),
        ({"multiprocess_dir": 3}, TypeError, "multiprocess_dir .* must be a path"),
    ],
)
def test_wrong_arguments(
    arguments: dict[str, Any], kind: type[Exception], words: str, registry: CollectorRegistry
) -> None:
    """Each is refused by name, and leaves nothing in the registry."""
    with pytest.raises(kind, match=words):
        PrometheusModel(**{"model": dense(), "registry": registry, **arguments})
    assert generate_latest(registry) == b""


def test_threads_lose_no_call(made: Callable[..., Any]) -> None:
    """8 threads of 200 real calls, while it is scraped: no sample is lost, and no scrape shows more than there are."""
    port = free_port()
    proxy = made(port=port)
    proxy.model(samples())

    def work(number: int) -> None:
        for call in range(200):
            proxy(samples(1 + number % SAMPLES))
            if call % 50 == 0:
                assert "gangplank_predict_in_flight" in get(f"http://127.0.0.1:{port}/metrics")

    at_once(8, work)
    text = get(f"http://127.0.0.1:{port}/metrics")
    shown = _values(text, model="net")
    expected = 200 * sum(1 + number % SAMPLES for number in range(8))
    assert shown["gangplank_predict_call_total"] == shown["gangplank_predict_batch_size_sum"] == expected
    assert _values(text, method="__call__")["gangplank_predict_duration_seconds_count"] == 1600
    assert shown["gangplank_predict_in_flight"] == 0


def test_drift(made: Callable[..., Any], registry: CollectorRegistry) -> None:
    """The predecessor's ratio of drifts to predictions has both of its sides, with the same labels."""
    proxy = made(get_drift_metrics_func=lambda _x, _y: Drift(1, 0.01, 12.5))
    proxy.predict(samples(), verbose=0)
    proxy.telemetry.flush()
    lines = generate_latest(registry).decode().splitlines()
    assert 'gangplank_predict_drift_detected_total{model="net"} 1.0' in lines
    assert 'gangplank_predict_drift_p_value{model="net"} 0.01' in lines
    assert 'gangplank_predict_drift_test_statistic{model="net"} 12.5' in lines
    assert 'gangplank_predict_drift_samples_total{model="net",result="tested"} 7.0' in lines


def test_copies(made: Callable[..., Any], registry: CollectorRegistry) -> None:
    """A copy counts with the original, at the same port."""
    proxy = made()
    twin = copy.deepcopy(proxy)
    assert type(twin) is PrometheusModel
    np.testing.assert_array_equal(twin.predict(samples(), verbose=0), proxy.predict(samples(), verbose=0))
    assert _shown(registry, model="net")["gangplank_predict_total"] == 2 * SAMPLES


def test_everything_can_be_imported_at_once() -> None:
    """``from gangplank import *`` gives every public name, in a process of its own."""
    names = subprocess.run(
        [sys.executable, "-c", "from gangplank import *; print(*sorted(name for name in dir() if name[0] != '_'))"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert names.stdout.split() == sorted(gangplank.__all__)

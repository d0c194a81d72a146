"""Attributes of a telemetry: on every series, at every exit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from calls import echo, measured
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from processes import Page
from prometheus_client import CollectorRegistry, generate_latest
from pushes import TRAIN
from realservers import free_port, get

from gangplank import ConfigurationError, PrometheusExporter, PushgatewayExporter, Telemetry, summarize_weights
from gangplank.inference import Inference
from gangplank.testing import FakeGateway, InMemoryExporter

GIVEN = {"experiment": "a/b", "team": "ml"}


def use(telemetry: Telemetry) -> None:
    """Train, evaluate and predict."""
    with telemetry.training_run("net") as run:
        run.step()
        run.weights(summarize_weights([], (0.0,)))
        run.epoch({"loss": 0.5})
    with telemetry.evaluation_run("net") as evaluation:
        evaluation.report({"loss": 0.5})
    measured(Inference(telemetry, "net"), echo)([1])


def test_every_series_has_them() -> None:
    """Beside its own labels."""
    memory = InMemoryExporter()
    with Telemetry(exporters=[memory], attributes=GIVEN) as telemetry:
        use(telemetry)
        assert len(memory.names()) > 20
        for name in memory.names():
            assert all(labels.items() >= GIVEN.items() for labels, _ in memory.series(name))
        assert memory.value("gangplank_train_loss", model="net") == 0.5


def test_a_newer_run_takes_the_older_ones_series_away() -> None:
    """As without them."""
    memory = InMemoryExporter()
    with Telemetry(exporters=[memory], attributes=GIVEN) as telemetry:
        telemetry.training_run("net").epoch({"loss": 0.5})
        telemetry.training_run("net")
        assert memory.value("gangplank_train_loss") is None


def test_in_a_scrape_of_several_processes(tmp_path: Path) -> None:
    """They are in the files that other processes read."""
    exporter = PrometheusExporter(port=free_port(), multiprocess_dir=tmp_path)
    with Telemetry(attributes=GIVEN) as telemetry:
        url = telemetry.attach(exporter).url
        use(telemetry)
        page = Page(get(url))
    assert page.value("gangplank_train_loss", model="net", **GIVEN) == 0.5
    assert page.value("gangplank_predict_total", model="net", **GIVEN) == 1


def test_at_a_gateway(fake_gateway: FakeGateway) -> None:
    """In the body: the group is the same."""
    with Telemetry(exporters=[PushgatewayExporter(fake_gateway.address, "mnist")], attributes=GIVEN) as telemetry:
        use(telemetry)
    [*_, body] = [request.body for request in fake_gateway.requests if request.path == TRAIN]
    assert Page(body).value("gangplank_train_loss", model="net", **GIVEN) == 0.5


def test_at_a_provider() -> None:
    """As attributes of the observations."""
    reader = InMemoryMetricReader()
    telemetry = Telemetry(meter_provider=MeterProvider([reader], shutdown_on_exit=False), attributes=GIVEN)
    telemetry.start()
    use(telemetry)
    data = reader.get_metrics_data()
    assert data is not None
    [scope] = data.resource_metrics[0].scope_metrics
    for metric in scope.metrics:
        assert all(dict(point.attributes or {}).items() >= GIVEN.items() for point in metric.data.data_points)
    telemetry.close()


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        ({"model": "a"}, ConfigurationError, "'model'"),
        ({"rank": "a"}, ConfigurationError, "'rank'"),
        ({"job": "a"}, ConfigurationError, "'job'"),
        ({"le": "a"}, ConfigurationError, "'le'"),
        ({"a-b": "a"}, ConfigurationError, "'a-b'"),
        ({"a": ""}, ConfigurationError, r"attributes\['a'\] must not be empty"),
        ({"a": 3}, TypeError, r"attributes\['a'\] must be a string, not 3"),
        ({3: "a"}, TypeError, "string"),
        ([("a", "b")], TypeError, "mapping"),
        ({f"a{number}": "b" for number in range(11)}, ConfigurationError, "10 at the most, got 11"),
    ],
)
def test_wrong_attributes(value: Any, error: type[Exception], said: str) -> None:
    """Are refused at construction."""
    with pytest.raises(error, match=said):
        Telemetry(attributes=value)


def test_what_utf8_cannot_hold() -> None:
    """Is replaced, as in any other label."""
    memory = InMemoryExporter()
    with Telemetry(exporters=[memory], attributes={"path": "a\udcff"}) as telemetry:
        telemetry.training_run("net")
        [(labels, _)] = memory.series("gangplank_train_running")
    assert labels["path"] == "a?"


def test_two_telemetries_in_one_registry(registry_page: Callable[..., Page]) -> None:
    """Are told apart by what only one of them has."""
    page = registry_page({"team": "a"}, {"team": "b"})
    assert page.value("gangplank_train_epochs_count", team="a") == 1
    assert page.value("gangplank_train_epochs_count", team="b") == 1


@pytest.fixture
def registry_page() -> Callable[..., Page]:
    """Return what makes a telemetry of each set of attributes, in one registry, and reads that."""

    def make(*attributes: dict[str, str]) -> Page:
        registry = CollectorRegistry()
        opened = [
            Telemetry(exporters=[PrometheusExporter(port=None, registry=registry)], attributes=one)
            for one in attributes
        ]
        for telemetry in opened:
            telemetry.start()
            telemetry.training_run("net").epoch({"loss": 0.5})
        page = Page(generate_latest(registry).decode())
        for telemetry in opened:
            telemetry.close()
        return page

    return make

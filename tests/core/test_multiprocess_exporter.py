"""The scrape exit of a telemetry that shares a directory: started, closed and started again, each call counts once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from calls import echo, measured
from prometheus_client import CollectorRegistry

from gangplank import PrometheusExporter, ServerStartError, Telemetry
from gangplank.catalogue import metric
from gangplank.exporters.multiprocess.directory import Directory
from gangplank.inference import Inference
from gangplank.merging import merge
from gangplank.metrics import Phase

IN_FLIGHT = metric(Phase.PREDICT, "in_flight")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The directory."""
    return tmp_path / "workers"


def predicting(telemetry: Telemetry) -> Callable[[list[int]], list[int]]:
    """Return a model that returns what it gets, measured."""
    return measured(Inference(telemetry, "net"), echo)


def on_a_thread(function: Callable[[], object]) -> None:
    """Call a function on a thread of its own."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def total(registry: CollectorRegistry) -> float | None:
    """Return how many samples were predicted, as a registry shows it."""
    return registry.get_sample_value("gangplank_predict_total", {"model": "net"})


def left(path: Path) -> dict[str, object]:
    """Return what a directory shows to somebody else."""
    return {family.metric.prometheus_name: family.points[0].value for family in merge([Directory(path)])}


def test_two_exporters_in_one_directory_count_once(path: Path) -> None:
    """Of one telemetry, in a registry of each or in the same, and when one of them is closed."""
    registries = [CollectorRegistry(), CollectorRegistry()]
    exporters = [PrometheusExporter(None, registry=one, multiprocess_dir=path) for one in (*registries, registries[0])]
    with Telemetry() as telemetry:
        handles = [telemetry.attach(exporter) for exporter in exporters]
        predict = predicting(telemetry)
        predict([1, 2])

        def totals() -> list[float | None]:
            return [total(one) for one in registries]

        assert totals() == [2, 2]
        handles[0].close()
        for _ in range(3):
            assert totals() == [2, 2]
        predict([1, 2])
        assert totals() == [4, 4]


@pytest.mark.parametrize("is_shared_first", [True, False])
def test_shown_by_itself_and_with_others_it_counts_once(path: Path, is_shared_first: bool) -> None:
    """As where a second model of a program is given a directory, and the first was not."""
    registry = CollectorRegistry()
    exporters = [
        PrometheusExporter(None, registry=registry, multiprocess_dir=path),
        PrometheusExporter(None, registry=registry),
    ]
    with Telemetry(exporters=exporters if is_shared_first else exporters[::-1]) as telemetry:
        predicting(telemetry)([1, 2])
        assert total(registry) == 2


def test_closed_and_attached_again_it_counts_on(path: Path) -> None:
    """What it did before is not counted again."""
    registry = CollectorRegistry()
    exporter = PrometheusExporter(None, registry=registry, multiprocess_dir=path)
    with Telemetry() as telemetry:
        predict = predicting(telemetry)
        for count in range(1, 4):
            handle = telemetry.attach(exporter)
            predict([1])
            assert total(registry) == count
            handle.close()


def test_a_port_that_is_taken_at_first_costs_no_count_and_adds_none(path: Path) -> None:
    """Each thread that begins to predict tries to start what could not be started before."""
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]
        telemetry = Telemetry(exporters=[PrometheusExporter(port, multiprocess_dir=path)])
        predict = predicting(telemetry)
        for _ in range(3):
            on_a_thread(lambda: predict([1, 2]))
            with pytest.raises(ServerStartError):
                telemetry.start()
    with Telemetry(exporters=[PrometheusExporter(None, registry=CollectorRegistry(), multiprocess_dir=path)]):
        on_a_thread(lambda: predict([1, 2]))
        assert [handle.url for handle in telemetry.handles] == [f"http://127.0.0.1:{port}/metrics"]  # type: ignore[attr-defined]
        for _ in range(2):
            assert left(path)["gangplank_predict_total"] == 8
    telemetry.close()


def test_what_a_closed_telemetry_did_is_left_to_others(path: Path) -> None:
    """Its counts, and no more."""
    registry = CollectorRegistry()
    with Telemetry(exporters=[PrometheusExporter(None, registry=registry, multiprocess_dir=path)]) as telemetry:
        predicting(telemetry)([1, 2])
        telemetry.state.gauge(IN_FLIGHT, model="net").set(1)
        assert registry.get_sample_value("gangplank_predict_in_flight", {"model": "net"}) == 1
    shown = left(path)
    assert shown["gangplank_predict_total"] == 2
    assert "gangplank_predict_in_flight" not in shown
    assert total(registry) is None

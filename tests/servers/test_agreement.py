"""One run at every exit: a scrape by a real Prometheus, a real Pushgateway, and an OpenTelemetry reader agree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import realservers
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData

from gangplank import PrometheusExporter, PushgatewayExporter, Telemetry, summarize_weights
from gangplank.testing import ManualClock
from gangplank.training import TrainingRun

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def reader() -> InMemoryMetricReader:
    """An OpenTelemetry reader, for which the telemetry builds a provider."""
    return InMemoryMetricReader()


@pytest.fixture
def telemetry(gateway: realservers.Gateway, reader: InMemoryMetricReader) -> Iterator[Telemetry]:
    """A telemetry with an exit of every kind."""
    exporters = [PrometheusExporter(port=0), PushgatewayExporter(gateway.address, "agreement"), reader]
    with Telemetry(exporters=exporters, clock=ManualClock()) as telemetry:
        yield telemetry


def _train(telemetry: Telemetry) -> None:
    run = TrainingRun(telemetry, 'a "model"\\n')
    run.parameters(5)
    for epoch in range(2):
        run.begin_epoch()
        for step in range(3):
            telemetry.clock.advance(0.125)  # type: ignore[attr-defined]
            run.step_to(step + 1)
        run.learning_rate(0.5**epoch)
        run.end_epoch(epoch + 1, [("loss", 0.1 + epoch), ("a/b", 1e-300), ("Ünï", 3.0), ("mae", float("nan"))])
    arrays = {"dense": [-2.0, -0.3, 0.0, 0.3, 7.5], "block/a": [0.25, -0.125], "block/b": [1.5]}
    layers = {
        name: summarize_weights([np.array(values, "f")], (-0.3, 0.0, 0.3), before=[np.ones(len(values), "f")])
        for name, values in arrays.items()
    }
    run.weights(layers, most_layers=1)
    run.gradients_norm(0.625)
    run.weights_took(0.25)
    run.end()


def _of_prometheus(series: list[tuple[dict[str, str], float]]) -> Values:
    ours = {"model", "outcome", "metric", "layer", "le"}
    return {
        (
            labels["__name__"],
            frozenset((key, _bound(key, value)) for key, value in labels.items() if key in ours),
        ): value
        for labels, value in series
    }


def _bound(key: str, value: str) -> str:
    return str(float(value)) if key == "le" else value  # a gateway writes 0.0 as 0


def _of_reader(data: MetricsData) -> Values:
    values: Values = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        unit = "_seconds" if metric.unit == "s" else ""
        for point in metric.data.data_points:
            if not hasattr(point, "value"):
                continue  # durations: a histogram, compared by its own parts below
            total = "_total" if type(metric.data).__name__ == "Sum" else ""
            labels = frozenset((key, _bound(key, str(value))) for key, value in (point.attributes or {}).items())
            values[metric.name + unit + total, labels] = point.value
    return values


def test_all_exits_agree(
    telemetry: Telemetry, gateway: realservers.Gateway, reader: InMemoryMetricReader, tmp_path: Path
) -> None:
    """Every training series has the same labels and the same value wherever it is looked at."""
    _train(telemetry)
    telemetry.flush()
    scrape = next(handle.url for handle in telemetry.handles if hasattr(handle, "url"))
    everything = '{__name__=~"gangplank_train_.*"}'
    found = []
    for name, target in (("scrape", urlsplit(scrape).netloc), ("gateway", gateway.address)):
        folder = tmp_path / f"prometheus of {name}"
        folder.mkdir()
        with realservers.prometheus(folder, target) as prometheus:
            found.append(_of_prometheus(prometheus.wait_for(everything)))
    scraped, pushed = found
    assert scraped == pushed
    data = reader.get_metrics_data()
    assert data is not None
    read = _of_reader(data)
    durations = {key for key in scraped if key[0].startswith("gangplank_train_step_duration_seconds_")}
    assert {key: value for key, value in scraped.items() if key not in durations | _info(scraped)} == {
        key: value for key, value in read.items() if key[0].startswith("gangplank_train_")
    }
    assert {value for (name, _), value in scraped.items() if name.endswith("duration_seconds_count")} == {6}
    names = {name for name, _ in scraped}
    assert "gangplank_train_mae" not in names
    assert {f"gangplank_train_layer_weights_{part}" for part in ("bucket", "sum", "count", "norm")} <= names
    assert scraped["gangplank_train_model_weights_sum", frozenset({("model", 'a "model"\\n')})] == 7.125


def _info(values: Values) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    return {key for key in values if key[0] == "gangplank_train_info"}

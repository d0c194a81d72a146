"""Dashboards and rules against the catalogue: all that they name exists, and all that exists is used."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import needs
import promql_parser
import pytest
import queries

from gangplank.catalogue import CATALOGUE, metric
from gangplank.metrics import Kind, Phase

ROOT = Path(__file__).parents[2]
OPERATIONS = ROOT / "docs" / "guides" / "operations.md"
RUNBOOK = ROOT / "docs" / "reference" / "runbook.md"
ALERTS = sorted(set(re.findall(r"- alert: (\w+)", queries.RULES.read_text())))
RECORDED = set(re.findall(r"- record: (\S+)", queries.RULES.read_text()))
NOT_OURS = {"up", "push_time_seconds", "push_failure_time_seconds", "pushgateway_build_info"}
"""What Prometheus and the Pushgateway say themselves."""
OWN = {"gangplank_train_loss", "gangplank_train_val_loss"}
"""The model's own metrics."""


def shown_as(row: Any) -> set[str]:
    """Return the names of the series that a metric has in Prometheus."""
    if row.kind in (Kind.HISTOGRAM, Kind.SNAPSHOT):
        return {f"{row.prometheus_name}_{part}" for part in ("bucket", "count", "sum")}
    return {row.prometheus_name}


def named(expression: str) -> set[str]:
    """Return the metrics that a query names."""
    found: set[str] = set()
    waiting: list[Any] = [promql_parser.parse(expression)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (promql_parser.VectorSelector, promql_parser.MatrixSelector)):
            selector = node if isinstance(node, promql_parser.VectorSelector) else node.vector_selector
            found |= {selector.name} if selector.name else set()
            continue
        waiting += [part for name in ("lhs", "rhs", "expr", "param") if (part := getattr(node, name, None)) is not None]
        waiting += getattr(node, "args", None) or []
    return found


def test_every_query_names_what_exists() -> None:
    """Each is PromQL, and of what it names the catalogue has a row, or a rule has recorded it."""
    exists = {name for row in CATALOGUE for name in shown_as(row)} | RECORDED | NOT_OURS | OWN
    for expression in queries.everything():
        assert named(expression) <= exists, expression


def test_every_metric_is_used() -> None:
    """In a panel, in a rule, or in the table that says why not; never in both."""
    asked = {name for expression in queries.everything() for name in named(expression)}
    used = {row.prometheus_name for row in CATALOGUE if shown_as(row) & asked}
    reasons = set(re.findall(r"^\| `(gangplank_\w+)` \| \S", OPERATIONS.read_text(), re.MULTILINE))
    assert {row.prometheus_name for row in CATALOGUE} - used == reasons


def test_every_recorded_series_is_used() -> None:
    """By another rule, or a panel."""
    assert {name for expression in queries.everything() for name in named(expression)} >= RECORDED


def test_counters_are_read_as_rates() -> None:
    """Counters and histograms that grow are never shown as they are; a restart would be a cliff."""
    growing = {name for row in CATALOGUE if row.kind in (Kind.COUNTER, Kind.HISTOGRAM) for name in shown_as(row)}
    for asked in queries.of_panels():
        for name in named(asked.expression) & growing:
            bare = re.findall(rf"(?<![\w(]){name}\b|(?<!rate)(?<!increase)\({name}\b", asked.expression)
            assert not bare, asked


@pytest.mark.parametrize("path", queries.DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_as_grafana_and_its_readers_want_it(path: Path) -> None:
    """It can be imported, chosen from, and read; panels do not overlap, and have a description and a data source."""
    dashboard = json.loads(path.read_text())
    assert dashboard["uid"] == f"gangplank-{path.stem}"
    assert dashboard["schemaVersion"] >= 36
    assert "gangplank" in dashboard["tags"]
    assert dashboard["title"].startswith("Gangplank / ")
    assert "id" not in dashboard
    variables = {one["name"]: one for one in dashboard["templating"]["list"]}
    assert list(variables) == ["datasource", "job", "model"]
    assert all(variables[name]["multi"] and variables[name]["includeAll"] for name in ("job", "model"))
    assert dashboard["panels"][0]["title"] == "How it stands"
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert not taken & cells, panel["title"]
        taken |= cells
    shown = queries.panels(path)
    assert len({panel["id"] for panel in shown}) == len(shown)
    for panel in shown:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        for target in panel["targets"]:
            assert '$job"' in target["expr"], target["expr"]
            assert not re.search(r"\[\d", target["expr"]), target["expr"]


def test_units_are_those_of_the_catalogue() -> None:
    """A panel that shows one metric in seconds says seconds."""
    for asked in queries.of_panels():
        if re.fullmatch(r"(time\(\) - )?max by \([\w, ]+\) \(\w+_seconds{[^}]*}\)", asked.expression):
            assert asked.panel["fieldConfig"]["defaults"]["unit"] == "s", asked


def test_dashboards_are_what_the_tables_say() -> None:
    """Python scripts/make_dashboards.py writes them anew."""
    needs.module("grafana_foundation_sdk")
    script = ROOT / "scripts" / "make_dashboards.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_what_to_do(alert: str) -> None:
    """It has a severity, a time for which it must last, what it means, and a section of the runbook."""
    assert f"\n## {alert}\n" in RUNBOOK.read_text()
    for rule in re.split(r"\n +- (?=alert|record)", queries.RULES.read_text()):
        if rule.startswith(f"alert: {alert}\n"):
            assert re.search(r"\n +labels: \{severity: (critical|warning|info)\}\n", rule)
            assert re.search(r"\n +for: \d+m\n", rule)
            for annotation in ("summary", "description"):
                assert re.search(rf"\n +{annotation}: \S", rule)
            assert f"runbook_url: http://127.0.0.1:8000/reference/runbook/#{alert.lower()}" in rule


def test_the_alerts_are_those_that_were_promised() -> None:
    """Each of them, by this name."""
    assert set(ALERTS) == {
        *("TrainingDiverged", "TrainingStalled", "TrainingFailed", "NoRecentSuccess", "Overfitting"),
        *("PredictErrors", "PredictLatency", "PredictDown", "DriftDetected", "DriftUntested", "TelemetryFailing"),
    }


def test_errors_of_pushes_are_known_by_name() -> None:
    """TelemetryFailing leaves them to the count of pushes: each kind that a push can report."""
    from gangplank.errors import ExportError  # noqa: PLC0415
    from gangplank.exporters.pushgateway import transport  # noqa: PLC0415

    kinds = {ExportError.__name__, *(kind.__name__ for kind in ExportError.__subclasses__())}
    assert {transport.NoAnswerError.__name__, transport.RefusedError.__name__} <= kinds
    (names,) = set(re.findall(r'error_type!~"([\w|]+)"', queries.RULES.read_text()))
    assert set(names.split("|")) == kinds


def test_the_drift_guide_shows_the_shipped_alert() -> None:
    """Its query names what DriftDetected reads."""
    guide = (ROOT / "docs" / "guides" / "drift.md").read_text()
    assert "DriftDetected" in guide
    for suffix in ("drift_detected", "drift_observations", "drift_expected_run_time"):
        assert metric(Phase.PREDICT, suffix).prometheus_name in guide

"""The dashboards and rules, asked of a real Prometheus that has seen a real run of everything."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import needs
import pytest
import queries
import realservers
from realservers import Prometheus

SCRIPT = Path(__file__).parent / "scripts" / "everything.py"
LABELS = ("job", "model", "layer", "metric", "method", "detector", "result", "error_type", "le")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus with the shipped rules that has scraped a gateway and a process: PyTorch, for its gradients."""
    for module in ("torch", "keras", "sklearn"):
        needs.module(module)
    folders = [tmp_path_factory.mktemp(name) for name in ("gateway", "prometheus")]
    port = realservers.free_port()
    with (
        realservers.pushgateway(folders[0]) as gateway,
        realservers.prometheus(
            folders[1], gateway.address, also=[f"127.0.0.1:{port}"], rules=[queries.RULES]
        ) as prometheus,
    ):
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), gateway.address, str(port), "6", "0.4"],
            env={**os.environ, "KERAS_BACKEND": "torch"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "done\n"
            # The last that is pushed: when it is there, so is all else. An increase takes two samples.
            prometheus.wait_for('count_over_time((gangplank_test_outcome{outcome="success"} == 1)[5m:250ms]) > 2')
            yield prometheus
        finally:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("dashboard", queries.DASHBOARDS, ids=lambda path: path.stem)
def test_each_panel_shows_something(dashboard: Path, seen: Prometheus) -> None:
    """Every query gives series with a value that is a number, and the labels that its legend names."""
    for asked in (one for one in queries.of_panels() if one.dashboard == dashboard.stem):
        given = seen.range(asked.expression, 600, 1)
        assert given, asked
        assert any(math.isfinite(value) for _, values in given for value in values), asked
        legends = [target.get("legendFormat", "") for target in asked.panel["targets"]]
        named = {label for label in LABELS if any(f"{{{{{label}}}}}" in legend for legend in legends)}
        # A series without a detector is of the drift function, and one without a type of error is of no error.
        expected = named - {"detector", "error_type"}
        assert all(expected <= labels.keys() for labels, _ in given), asked
        assert len({tuple(sorted(labels.items())) for labels, _ in given}) <= 40, asked


def test_states_are_those_that_have_names(seen: Prometheus) -> None:
    """What runs did is shown as running, and then as success; of evaluations, as success."""
    found = {}
    for asked in queries.of_panels():
        if asked.panel["type"] == "state-timeline":
            names = asked.panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
            ((_, values),) = seen.range(asked.expression, 600, 0.25)
            found[asked.panel["title"]] = {names[f"{value:.0f}"]["text"] for value in values}
    assert found == {"What runs do": {"running", "success"}, "How evaluations ended": {"success"}}


def test_each_rule_is_evaluated(seen: Prometheus) -> None:
    """Prometheus has no fault to find with any, and each recording rule has recorded something."""
    rules: list[Any] = realservers.wait_for(
        lambda: [] if any(rule["health"] == "unknown" for rule in seen.rules()) else seen.rules()
    )
    assert len(rules) == len(queries.of_rules())
    assert {(rule["name"], rule.get("lastError", "")) for rule in rules if rule["health"] != "ok"} == set()
    for rule in rules:
        if rule["type"] == "recording":
            assert seen.wait_for(f"last_over_time({rule['name']}[10m])"), rule["name"]


def test_of_a_run_that_went_well_no_alert_is_urgent(seen: Prometheus) -> None:
    """What is wrong with it is noticed, or has to last before it is; nothing else is."""
    alerts = {labels["alertname"] for labels, _ in seen.query("ALERTS")}
    assert alerts <= {"PredictErrors", "PredictLatency", "DriftDetected", "DriftUntested", "TelemetryFailing"}

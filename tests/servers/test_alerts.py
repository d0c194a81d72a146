"""Alerts from end to end: a real run, a real Prometheus with the shipped rules, and a real Alertmanager that is told.

Only time is compressed, by :func:`compressed`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import needs
import pytest
import queries
import realservers
from realservers import Alertmanager, Gateway, Prometheus, wait_for

SCRIPTS = Path(__file__).parent / "scripts"
_MINUTE = 0.4
"""Seconds that stand for one."""


def compressed(rules: str) -> str:
    """Return rules in which a minute takes less: all durations, and a quarter of an hour in seconds."""
    scale = {"m": 1, "h": 60, "d": 1440}
    rules = re.sub(
        r"(?<=[\[ ])(\d+)([mhd])\b(?=\]|\n|$| *==|\))",
        lambda match: f"{int(int(match[1]) * scale[match[2]] * _MINUTE * 1000)}ms",
        rules,
    )
    return re.sub(r"\b900\b", f"{15 * _MINUTE:g}", rules)


def test_only_time_is_compressed() -> None:
    """Windows, offsets, times to last, and the age of a heartbeat."""
    shipped = queries.RULES.read_text()
    found = compressed(shipped)
    assert not re.search(r"\[\d+[mhd]\]|(for:|offset) \d+[mhd]\b", found)
    changed = [(old, new) for old, new in zip(shipped.splitlines(), found.splitlines(), strict=True) if old != new]
    assert ("        for: 5m", "        for: 2000ms") in changed
    assert any(new.endswith("_timestamp_seconds > 6") for _, new in changed)
    for old, new in changed:
        assert re.sub(r"\d+ms|\b6\b", "#", new) == re.sub(r"\b\d+[mhd]\b|\b900\b", "#", old)


@pytest.fixture
def prometheus(tmp_path: Path, gateway: Gateway, alertmanager: Alertmanager) -> Iterator[Prometheus]:
    """A real Prometheus that evaluates the compressed rules, and tells the Alertmanager."""
    folder = tmp_path / "prometheus"
    folder.mkdir()
    rules = folder / "rules.yml"
    rules.write_text(compressed(queries.RULES.read_text()))
    with realservers.prometheus(folder, gateway.address, rules=[rules], alertmanager=alertmanager.address) as server:
        yield server


def _start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPTS / script), *arguments],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _shown(prometheus: Prometheus, title: str) -> list[tuple[dict[str, str], float]]:
    """Return what the first panel of that title shows."""
    return prometheus.query(next(one.expression for one in queries.of_panels() if one.panel["title"] == title))


def test_a_killed_run_and_then_one_that_diverges(
    gateway: Gateway, prometheus: Prometheus, alertmanager: Alertmanager
) -> None:
    """The first is TrainingStalled at the Alertmanager, until the second begins; that one is TrainingDiverged."""
    needs.module("keras")
    needs.module("jax")
    training = _start("stepwise.py", "exporter", gateway.address)
    try:
        assert training.stdin is not None
        training.stdin.write("\n")
        training.stdin.flush()
        prometheus.wait_for('gangplank_train_epochs_count{job="mnist"} == 1')
    finally:
        training.send_signal(signal.SIGKILL)
        training.communicate()
    (alert,) = wait_for(lambda: alertmanager.alerts("TrainingStalled"))
    assert alert["labels"] == {"alertname": "TrainingStalled", "severity": "critical", "job": "mnist", "model": "net"}
    assert alert["annotations"]["summary"] == "Training of net has stalled"
    assert "of the job mnist" in alert["annotations"]["description"]
    assert alert["annotations"]["runbook_url"].endswith("#trainingstalled")
    assert alertmanager.alerts("TrainingDiverged") == []
    diverging = _start("train.py", gateway.address, "nan")
    try:
        (alert,) = wait_for(lambda: alertmanager.alerts("TrainingDiverged"), timeout=120)
        assert diverging.wait(60) == 0
    finally:
        diverging.kill()
        diverging.communicate()
    assert alert["labels"] == {"alertname": "TrainingDiverged", "severity": "critical", "job": "mnist", "model": "net"}
    assert alert["annotations"]["runbook_url"].endswith("#trainingdiverged")
    wait_for(lambda: [value for _, value in _shown(prometheus, "What runs do")] == [5])  # diverged
    not_finite = {labels["metric"]: count for labels, count in _shown(prometheus, "Values that are not finite")}
    assert not_finite["loss"] > 0
    wait_for(lambda: not prometheus.query('ALERTS{alertname="TrainingStalled"}'))

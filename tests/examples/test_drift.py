"""The drift examples: a digit disappears, detectors notice, and an alert reaches the Alertmanager; none does before."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import needs
import pytest
import realservers
from processes import scrape
from realservers import free_port, wait_for

import gangplank.mixin

EXAMPLES = Path(__file__).parents[2] / "examples"
RULES = Path(gangplank.mixin.__file__).with_name("rules.yml")
FIRING = 'ALERTS{alertname="DriftDetected",alertstate="firing"}'
_PATIENCE = 180.0


class Running:
    """An example that runs on a terminal.

    Args:
        terminal: The terminal's other end.
    """

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._said = ""

    def said(self, pattern: str) -> re.Match[str] | None:
        """Return where what it has printed so far matches, if anywhere."""
        while select.select([self._terminal], [], [], 0)[0]:
            try:
                self._said += os.read(self._terminal, 4096).decode()
            except OSError:  # it has ended
                break
        return re.search(pattern, self._said)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until something that it has printed matches."""
        try:
            return wait_for(lambda: self.said(pattern), _PATIENCE)
        except TimeoutError:
            pytest.fail(self._said)

    def press_enter(self) -> None:
        """Press Enter."""
        os.write(self._terminal, b"\n")


@contextmanager
def running(script: str, *arguments: str) -> Iterator[Running]:
    """Run an example until the block ends, at the end of which it is to have ended by itself."""
    ours, its = pty.openpty()
    command = [sys.executable, str(EXAMPLES / "drift" / script), "--fast", *arguments]
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its)
    os.close(its)
    try:
        example = Running(ours)
        yield example
        example.press_enter()
        assert process.wait(60) == 0, example.said("(?s).*")
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.fixture(autouse=True)
def _have_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("jax", "sklearn", "matplotlib", "scipy"):
        needs.module(name)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    if not (EXAMPLES / "models" / "mnist_convnet.keras").is_file():
        command = [sys.executable, str(EXAMPLES / "train" / "train.py"), "--fast", f"--gateway=127.0.0.1:{free_port()}"]
        subprocess.run(command, check=True, capture_output=True, timeout=_PATIENCE)


def test_the_alert_fires_when_a_digit_is_gone_and_not_before(
    tmp_path: Path, alertmanager: realservers.Alertmanager
) -> None:
    """The package's rule has the real Prometheus tell the real Alertmanager; what the example says, they have."""
    port, plot = free_port(), tmp_path / "plots" / "mmd.png"
    rules = tmp_path / "rules.yml"
    rules.write_text(re.sub(r"\bfor: \d+m$", "for: 0s", RULES.read_text(), flags=re.MULTILINE))  # else as it is
    target, address = f"127.0.0.1:{port}", alertmanager.address
    with (
        realservers.prometheus(tmp_path, target, rules=[rules], alertmanager=address) as prometheus,
        running("mmd/mmd.py", f"--port={port}", f"--plot={plot}") as example,
    ):
        example.wait_for("there is no digit 0")
        prometheus.wait_for("gangplank_predict_drift_observations_total > 500")
        assert prometheus.query(FIRING) == []
        wait_for(lambda: alertmanager.alerts("DriftDetected"), _PATIENCE)
        ((labels, _),) = prometheus.query(FIRING)
        assert {"model": "mnist", "detector": "mmd", "severity": "warning"}.items() <= labels.items()
        done = example.wait_for(r"(\d+) detections in 4,500 images")
        prometheus.wait_for(f'gangplank_predict_drift_detected_total{{detector="mmd"}} == {done[1]}')
        prometheus.wait_for('gangplank_predict_drift_observations_total{detector="mmd"} == 4500')
        example.wait_for("Still serving")
        assert plot.read_bytes().startswith(b"\x89PNG")


def test_the_detector_is_better_than_the_hand_written_test(tmp_path: Path) -> None:
    """It is silent until a digit is gone, and not from then on; both have their series side by side."""
    port, plot = free_port(), tmp_path / "chi_square.png"
    with running("chi_square/chi_square.py", f"--port={port}", f"--plot={plot}", "--minutes=0.01") as example:
        example.wait_for("Still serving")
        found = example.wait_for(r"(?s)has (\d+) detections.*has (\d+) detections")
        quiet, withheld = map(int, found.groups())
        page = scrape(port)
    assert quiet < 4  # of 0.3 that chance has
    assert withheld > 10
    ours = {"model": "mnist", "detector": "classes"}
    assert page.value("gangplank_predict_drift_detected_total", **ours) == quiet + withheld
    assert page.value("gangplank_predict_drift_expected_run_time", **ours) == 20_000
    for name in ("p_value", "test_statistic"):
        for series in ({"model": "mnist"}, ours):
            assert series in page.labels(f"gangplank_predict_drift_{name}")
    assert plot.read_bytes().startswith(b"\x89PNG")

"""The examples that run on Ray: one Prometheus shows what each worker and each replica did."""

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
import realservers
from localray import LocalRay, local_ray
from realservers import Gateway, Prometheus, free_port, wait_for

EXAMPLES = Path(__file__).parents[2] / "examples"
MODEL = EXAMPLES / "models" / "mnist_convnet.keras"
_DONE_WITHIN = 180.0
"""Seconds, in which several processes load Keras and JAX."""
_STEPS = -(-1_438 // 2 // 32)
"""Steps of an epoch: of each worker's half of the images."""
_TRAIN = 'job="mnist", model="mnist"'


@pytest.fixture
def ray(tmp_path: Path) -> Iterator[LocalRay]:
    """Ray, with a home of its own."""
    home = tmp_path / "home"
    home.mkdir()
    with local_ray(home) as ray:
        yield ray


def by_label(prometheus: Prometheus, label: str, expression: str) -> dict[str, float]:
    """Return what an instant query gives, by the value of a label."""
    return {labels[label]: value for labels, value in prometheus.query(expression)}


def test_train(ray: LocalRay, gateway: Gateway, prometheus: Prometheus, tmp_path: Path) -> None:
    """Two workers train one network: each says how it went, and the first what both have come to."""
    for name in ("jax", "keras", "sklearn"):
        needs.module(name)
    log = tmp_path / "log"
    with ray.running(log, EXAMPLES / "ray_train" / "train.py", "--epochs=2", f"--gateway={gateway.address}") as job:
        assert job.wait(_DONE_WITHIN) == 0, log.read_text()
    wait_for(lambda: not ray.left())
    prometheus.wait_for(f'sum(gangplank_train_outcome{{{_TRAIN}, outcome="success"}}) == 2')
    for name, value in (("epochs_count", 2), ("steps_total", 2 * _STEPS), ("step_duration_seconds_count", 2 * _STEPS)):
        expected = {"0": value, "1": value}
        assert by_label(prometheus, "rank", f"gangplank_train_{name}{{{_TRAIN}}}") == expected
    assert by_label(prometheus, "rank", f"gangplank_train_running{{{_TRAIN}}}") == {"0": 0, "1": 0}
    (_, last) = re.findall(r"- loss: ([\d.]+)", log.read_text())
    losses = by_label(prometheus, "rank", f"gangplank_train_loss{{{_TRAIN}}}")
    assert losses == {"0": pytest.approx(float(last), abs=1e-4)}


def test_serve(ray: LocalRay, tmp_path: Path) -> None:
    """Each replica's predictions are counted, and those of one that was killed are not lost."""
    for name in ("tensorflow", "sklearn", "starlette"):
        needs.module(name)
    ray.environment["KERAS_BACKEND"] = "tensorflow"
    if not MODEL.is_file():
        run(ray, "train/train.py", "--fast", "--gateway", f"127.0.0.1:{free_port()}")
    port, metrics, log, kept = free_port(), free_port(), tmp_path / "log", tmp_path / "replicas"
    url = f"http://127.0.0.1:{port}/predict"
    arguments = (f"--port={port}", f"--metrics-port={metrics}", f"--metrics-dir={kept}")
    folder = tmp_path / "prometheus"
    folder.mkdir()
    with ray.running(log, EXAMPLES / "ray_serve" / "app.py", *arguments) as app:
        wait_for(lambda: app.poll() is not None or f"Serving at {url}" in log.read_text(), _DONE_WITHIN)
        assert app.poll() is None, log.read_text()
        with realservers.prometheus(folder, f"127.0.0.1:{metrics}") as prometheus:
            assert recognised(run(ray, "serve/send.py", "--fast", "--url", url, "--requests=100", "--threads=4")) > 60
            prometheus.wait_for("sum(gangplank_predict_call_total) == 100")
            before = by_label(prometheus, "replica", 'gangplank_predict_call_total{model="mnist"}')
            assert before.keys() == {"0", "1"}
            assert all(before.values())
            killed = min(replicas(kept))
            os.kill(killed, signal.SIGKILL)
            wait_for(lambda: len(replicas(kept) - {killed}) == 2, _DONE_WITHIN)
            assert recognised(run(ray, "serve/send.py", "--fast", "--url", url, "--requests=20", "--threads=4")) > 10
            prometheus.wait_for("sum(gangplank_predict_call_total) == 120")
            after = by_label(prometheus, "replica", 'gangplank_predict_call_total{model="mnist"}')
            assert after.keys() == before.keys()
            assert all(after[replica] >= before[replica] for replica in before)
            prometheus.wait_for("sum(gangplank_predict_in_flight) == 0")
        app.send_signal(signal.SIGINT)
        assert app.wait(_DONE_WITHIN) == 0, log.read_text()
    wait_for(lambda: not ray.left())


def run(ray: LocalRay, script: str, *arguments: str) -> str:
    """Run an example to its end, and return what it printed."""
    command = [sys.executable, str(EXAMPLES / script), *arguments]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, timeout=_DONE_WITHIN, env=ray.environment
    )
    return done.stdout


def recognised(printed: str) -> int:
    """Return how many images were recognised."""
    found = re.search(r"^(\d+) were recognised", printed, re.MULTILINE)
    assert found is not None, printed
    return int(found[1])


def replicas(kept: Path) -> set[int]:
    """Return the processes of the replicas, each of which has a file."""
    return {int(file.name.partition("-")[0]) for file in kept.glob("*-*.gangplank")}

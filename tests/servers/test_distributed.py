"""Two processes that train one model together, at one real gateway."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import needs
import pytest
from localray import local_ray
from realservers import Gateway, Prometheus, free_port, wait_for

SCRIPT = Path(__file__).parent / "scripts" / "distributed.py"
RAY_JOB = SCRIPT.with_name("ray_job.py")


@pytest.mark.parametrize("backend", ["jax", "tensorflow", "torch"])
def test_two_processes(backend: str, gateway: Gateway, prometheus: Prometheus) -> None:
    """Each shows that it runs and how fast, and the first what both have come to."""
    needs.module("keras")
    needs.module(backend)
    together = ",".join(f"127.0.0.1:{free_port()}" for _ in range(2))
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, backend, str(rank), "2", together, gateway.address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:  # one without the others waits for ever, and TensorFlow's not even SIGTERM ends
            process.kill()
    for process, (_, err) in zip(processes, said, strict=True):
        assert process.returncode == 0, err
    losses = [float(out.split("loss=")[1]) for out, _ in said]
    assert losses[0] == pytest.approx(losses[1])
    steps = gateway.value("gangplank_train_steps_total", job="together", rank="0")
    assert steps is not None
    for rank in ("0", "1"):
        of_rank = {"job": "together", "model": "net", "rank": rank}
        assert gateway.value("gangplank_train_epochs_count", **of_rank) == 2
        assert gateway.value("gangplank_train_steps_total", **of_rank) == steps
        assert gateway.value("gangplank_train_step_duration_seconds_count", **of_rank) == steps
        assert gateway.value("gangplank_train_running", **of_rank) == 0
        assert gateway.value("gangplank_train_outcome", **of_rank, outcome="success") == 1
        assert gateway.value("gangplank_train_last_success_timestamp_seconds", **of_rank) is not None
    [(labels, loss)] = gateway.series("gangplank_train_loss", job="together")
    assert labels["rank"] == "0"
    assert loss == pytest.approx(losses[0])
    ((_, value),) = prometheus.wait_for('count(gangplank_train_running{job="together"})')
    assert value == 2


def test_a_worker_of_ray_train_fails(gateway: Gateway, prometheus: Prometheus, tmp_path: Path) -> None:
    """It says so; the other, which Ray kills for it, can say nothing, but stood there as one that trains."""
    home, log = tmp_path / "home", tmp_path / "log"
    home.mkdir()
    with local_ray(home) as ray:
        with ray.running(log, RAY_JOB, gateway.address, str(home)) as job:
            assert job.wait(120) == 1, log.read_text()
        assert "there is no more data" in log.read_text()
        wait_for(lambda: not ray.left())
    ((failed, _),) = prometheus.wait_for('gangplank_train_outcome{job="together", outcome="failed"} == 1')
    assert (failed["rank"], failed["model"]) == ("1", "net")
    running = prometheus.query('gangplank_train_running{job="together"}')
    assert {labels["rank"]: value for labels, value in running} == {"0": 1, "1": 0}
    assert prometheus.query('sum(gangplank_train_outcome{job="together", rank="0"})')[0][1] == 0

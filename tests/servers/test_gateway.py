"""Scripts, each in a process of its own, seen at a real Pushgateway and through it in a real Prometheus."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import needs
import pytest
from realservers import Gateway, Prometheus, prometheus, pushgateway, wait_for

SCRIPTS = Path(__file__).parent / "scripts"
BACKENDS = ("tensorflow", "jax", "torch")


def _start(backend: str, script: str, gateway: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("COVERAGE_PROCESS_START", None)
    command = [sys.executable, str(SCRIPTS / script), gateway, *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _run(backend: str, script: str, gateway: Gateway, *arguments: str) -> subprocess.CompletedProcess[str]:
    process = _start(backend, script, gateway.address, *arguments)
    out, err = process.communicate(timeout=180)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _outcome(gateway: Gateway, phase: str = "train") -> set[str]:
    series = gateway.series(f"gangplank_{phase}_outcome", job="mnist")
    return {labels["outcome"] for labels, value in series if value == 1}


class Trained:
    """A gateway, at which a script of a backend has trained with success, and a Prometheus that scrapes it."""

    def __init__(self, backend: str, gateway: Gateway, prometheus: Prometheus) -> None:
        self.backend, self.gateway, self.prometheus = backend, gateway, prometheus
        done = _run(backend, "train.py", gateway)
        assert done.returncode == 0, done.stderr
        self.loss = float(done.stdout.split("loss=")[1])
        self.success = self.value("last_success_timestamp_seconds")

    def value(self, name: str, **labels: str) -> float | None:
        """Return a value of the training, which ran once or several times."""
        return self.gateway.value(f"gangplank_train_{name}", job="mnist", **labels)


@pytest.fixture(scope="module", params=BACKENDS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """Tests of a backend go on where the one before ended: at a gateway runs follow one another."""
    needs.module(request.param)
    folders = [tmp_path_factory.mktemp(name) for name in ("gateway", "prometheus")]
    with pushgateway(folders[0]) as gateway, prometheus(folders[1], gateway.address) as server:
        yield Trained(request.param, gateway, server)


def test_training_then_evaluation_of_the_same_job(trained: Trained) -> None:
    """A train script and a test script, one after the other: both sets stand, and Prometheus answers for both."""
    gateway, prometheus = trained.gateway, trained.prometheus
    assert trained.value("loss", instance="", model="net") == pytest.approx(trained.loss)
    loss = trained.value("loss")
    tested = _run(trained.backend, "evaluate.py", gateway)
    assert tested.returncode == 0, tested.stderr
    assert trained.value("loss") == loss
    assert gateway.value("gangplank_test_loss", job="mnist", instance="", model="net") is not None
    assert gateway.value("gangplank_test_model_weights_count", job="mnist") == 4
    assert gateway.value("gangplank_test_model_weights_sum", job="mnist") != 0
    assert _outcome(gateway) == _outcome(gateway, "test") == {"success"}
    for name in (
        "gangplank_train_loss",
        "gangplank_train_val_loss",
        "gangplank_train_epochs_count",
        "gangplank_train_steps_total",
        "gangplank_train_last_success_timestamp_seconds",
        "gangplank_test_mae",
        "gangplank_test_model_weights_count",
    ):
        ((labels, value),) = prometheus.wait_for(f'{name}{{job="mnist",model="net"}}')
        assert value == gateway.value(name, job="mnist"), labels
    rate = "histogram_quantile(0.9, gangplank_train_step_duration_seconds_bucket)"
    assert prometheus.wait_for(rate)


@pytest.mark.parametrize(("how", "outcome"), [("raise", "failed"), ("nan", "diverged")])
def test_a_run_that_did_not_succeed(how: str, outcome: str, trained: Trained) -> None:
    """It says how it ended; the last success is still that of the run before, from another process."""
    gateway, completion = trained.gateway, trained.value("last_completion_timestamp_seconds")
    assert trained.success is not None
    assert completion is not None
    ended = _run(trained.backend, "train.py", gateway, how)
    assert (ended.returncode == 0) is (how == "nan"), ended.stderr
    wait_for(lambda: _outcome(gateway) == {outcome}, timeout=5)
    assert trained.value("running") == 0
    assert trained.value("last_success_timestamp_seconds") == trained.success
    later = trained.value("last_completion_timestamp_seconds")
    assert later is not None
    assert later > completion
    if how == "nan":
        assert trained.value("loss") is None
        nonfinite = trained.value("nonfinite_total", metric="loss")
        assert nonfinite is not None
        assert nonfinite >= 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_control_c(backend: str, gateway: Gateway) -> None:
    """SIGINT in the middle of an epoch: interrupted, within five seconds of the exit."""
    needs.module(backend)
    process = _start(backend, "train.py", gateway.address, "endless")
    try:
        wait_for(lambda: gateway.value("gangplank_train_epochs_count", job="mnist"), timeout=120)
        assert gateway.value("gangplank_train_running", job="mnist") == 1
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert "KeyboardInterrupt" in err
    wait_for(lambda: _outcome(gateway) == {"interrupted"}, timeout=5)
    assert gateway.value("gangplank_train_running", job="mnist") == 0


def test_a_gateway_that_goes_and_comes_back(tmp_path: Path) -> None:
    """Killed and started again in mid-training, it has the final state; training never noticed."""
    needs.module("jax")
    folder = tmp_path / "first"
    folder.mkdir()
    with pushgateway(folder) as gateway:
        port = int(gateway.address.rpartition(":")[2])
        process = _start("jax", "train.py", gateway.address, "slowly")
        wait_for(lambda: gateway.value("gangplank_train_epochs_count", job="mnist"), timeout=120)
    time.sleep(0.5)  # so that some epochs end while nobody listens
    folder = tmp_path / "second"
    folder.mkdir()
    with pushgateway(folder, port) as gateway:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out.startswith("loss=")
        assert err.count("could not push") <= 2, err
        assert _outcome(gateway) == {"success"}
        assert gateway.value("gangplank_train_epochs_count", job="mnist") == 20


def test_exit_is_bounded_when_nobody_listens() -> None:
    """Without a gateway a script ends as it would without telemetry."""
    needs.module("jax")
    process = _start("jax", "train.py", "127.0.0.1:9")
    _, err = process.communicate(timeout=180)
    assert process.returncode == 0
    assert err.count("could not push") == 1, err

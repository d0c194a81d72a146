"""Every example runs as its README says, in its short form, against the real servers."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import needs
import pytest
from realservers import Gateway, Prometheus, free_port, get, wait_for

EXAMPLES = Path(__file__).parents[2] / "examples"
TOTAL = 'gangplank_predict_total{model="mnist"} 101.0'


def _environment() -> dict[str, str]:
    return {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}


def _run(script: str, *arguments: str, expected: int = 0) -> str:
    """Run an example in its own process, without a terminal, and return what it printed."""
    needs.module("tensorflow")
    needs.module("sklearn")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *arguments],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == expected, done.stdout + done.stderr
    return done.stdout


def _have_a_model() -> None:
    if not (EXAMPLES / "models" / "mnist_convnet.keras").is_file():
        _run("train/train.py", "--fast", "--gateway", f"127.0.0.1:{free_port()}")


def test_train_then_custom_metrics_then_test(gateway: Gateway, prometheus: Prometheus) -> None:
    """The three share a job: each leaves what it promises at the gateway, and Prometheus has it."""
    _run("train/train.py", "--fast", "--gateway", gateway.address)
    assert gateway.value("gangplank_train_model_parameters_count", job="mnist", model="mnist") == 104_202
    assert gateway.value("gangplank_train_epochs_count", job="mnist") == 3
    _run("test/test.py", "--fast", "--strict", "--gateway", gateway.address)
    _run("custom_metrics/train.py", "--fast", "--gateway", gateway.address)
    for name in (
        "gangplank_test_accuracy",
        "gangplank_test_loss",
        "gangplank_test_model_weights_count",
        "gangplank_train_loss",
        "gangplank_train_learning_rate",
    ):
        ((_, value),) = prometheus.wait_for(f'{name}{{job="mnist"}}')
        assert value == gateway.value(name, job="mnist")
    lowest = gateway.value("gangplank_test_model_weights_bucket", job="mnist", le="-0.3")
    count = gateway.value("gangplank_test_model_weights_count", job="mnist")
    assert lowest is not None
    assert count is not None
    assert 0 <= lowest < count == 104_202


def test_a_strict_evaluation_fails_without_a_gateway(tmp_path: Path) -> None:
    """``--strict`` is ``ignore_exceptions=False``: no gateway, no success."""
    _have_a_model()
    _run("test/test.py", "--fast", "--strict", "--gateway", f"127.0.0.1:{free_port()}", expected=1)


def test_the_demo_ends_by_itself_and_shows_what_it_measured() -> None:
    """Without a terminal it trains, evaluates, prints where its metrics are and a table of them, and ends."""
    printed = _run("demo/demo.py", "--epochs", "2", "--port", str(free_port()))
    assert "http://127.0.0.1:" in printed
    for name in ("gangplank_train_loss", "gangplank_train_epochs_count", "gangplank_test_accuracy"):
        assert name in printed


def test_predict_serves_what_it_measured() -> None:
    """Without a terminal it shows its metrics and ends; on one it can be scraped until Enter."""
    _have_a_model()
    assert TOTAL in _run("predict/predict.py", "--fast", "--port", str(free_port()))
    port = free_port()
    ours, its = pty.openpty()
    command = [sys.executable, str(EXAMPLES / "predict" / "predict.py"), "--fast", "--port", str(port)]
    process = subprocess.Popen(command, env=_environment(), stdin=its, stdout=its, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: process.poll() is not None or TOTAL in (_scrape(port) or ""), timeout=120)
        assert TOTAL in (_scrape(port) or "")
        os.write(ours, b"\n")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(its)
        os.close(ours)


def _scrape(port: int) -> str | None:
    try:
        return get(f"http://127.0.0.1:{port}/metrics")
    except OSError:
        return None


@pytest.mark.parametrize(
    "script", ["train/train.py", "custom_metrics/train.py", "test/test.py", "demo/demo.py", "predict/predict.py"]
)
def test_help(script: str) -> None:
    """Every example says what it takes."""
    assert "--help" in _run(script, "--help")


def test_prometheus_configuration() -> None:
    """The configuration that the examples are run with is one that promtool accepts."""
    promtool = needs.program("promtool", "prometheus")
    subprocess.run(
        [promtool, "check", "config", str(EXAMPLES / "prometheus" / "prometheus.yml")], check=True, capture_output=True
    )

"""Keras under ``opentelemetry-instrument``: training and evaluation, each by a process of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import needs
import pytest
from instrumented import end, pushing_to, start
from realservers import Gateway, Prometheus

SCRIPT = Path(__file__).parent / "scripts" / "zero_code.py"


def _keras(gateway: Gateway, how: str) -> subprocess.CompletedProcess[str]:
    needs.module("keras")
    needs.module("jax")
    return end(start([str(SCRIPT), how], **pushing_to(gateway), KERAS_BACKEND="jax"))


def test_training_and_evaluation_by_two_processes(gateway: Gateway, prometheus: Prometheus) -> None:
    """A callback without exits joins the process's provider: each phase has its group, and both stand."""
    trained = _keras(gateway, "train")
    assert (trained.returncode, trained.stderr) == (0, "")
    loss = gateway.value("gangplank_train_loss", job="shop", phase="train", model="net")
    assert loss == pytest.approx(float(trained.stdout.split("loss=")[1]))
    tested = _keras(gateway, "evaluate")
    assert (tested.returncode, tested.stderr) == (0, "")
    test_loss = gateway.value("gangplank_test_loss", job="shop", phase="test", model="net")
    assert test_loss == pytest.approx(float(tested.stdout.split("loss=")[1]))
    assert gateway.value("gangplank_train_loss", job="shop", phase="train", model="net") == loss
    for phase in ("train", "test"):
        assert gateway.value(f"gangplank_{phase}_outcome", job="shop", outcome="success") == 1
        assert gateway.value(f"gangplank_{phase}_last_success_timestamp_seconds", job="shop", model="net") is not None
        assert gateway.value(f"gangplank_{phase}_model_weights_count", job="shop", phase=phase) == 4
        assert gateway.value(f"gangplank_{phase}_model_weights_bucket", job="shop", phase=phase, le="+Inf") == 4
    assert gateway.value("gangplank_train_epochs_count", job="shop") == 3
    assert gateway.value("gangplank_train_steps_total", job="shop") == 6
    assert gateway.value("gangplank_train_step_duration_seconds_count", job="shop") == 6
    assert {value for _, value in gateway.series("push_failure_time_seconds")} == {0}
    ((labels, value),) = prometheus.wait_for('gangplank_train_loss{job="shop"}')
    assert (value, labels["phase"], labels["model"]) == (loss, "train", "net")


def test_a_failed_training(gateway: Gateway) -> None:
    """How it ended is in the last push, and the last success is still that of the run before."""
    assert _keras(gateway, "train").returncode == 0
    success = gateway.value("gangplank_train_last_success_timestamp_seconds", job="shop")
    failed = _keras(gateway, "raise")
    assert failed.returncode == 1
    assert "as asked" in failed.stderr
    assert gateway.value("gangplank_train_outcome", job="shop", outcome="failed") == 1
    assert gateway.value("gangplank_train_outcome", job="shop", outcome="success") == 0
    assert gateway.value("gangplank_train_running", job="shop") == 0
    assert gateway.value("gangplank_train_last_success_timestamp_seconds", job="shop") == success

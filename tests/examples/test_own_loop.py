"""The loops of one's own: what Keras's fit shows, in JAX and in PyTorch, and without Keras."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import needs
import pytest
from realservers import Gateway, wait_for

EXAMPLES = Path(__file__).parents[2] / "examples"
_STEPS = 1_438 // 32
"""Steps of an epoch."""
_TRAIN = {"instance": "", "job": "mnist", "model": "mnist", "phase": "train"}
_TEST = {**_TRAIN, "phase": "test"}
_OUTLIVING = {"instance": "", "job": "mnist", "model": "mnist"}

pytestmark = pytest.mark.parametrize("framework", ["jax", "torch"])


@pytest.fixture(autouse=True)
def _packages(framework: str) -> None:
    for package in (framework, "sklearn", "prometheus_client", "requests"):
        needs.module(package)


def command(framework: str, *arguments: str) -> list[str]:
    """Return the command line that runs a loop."""
    return [sys.executable, str(EXAMPLES / "own_loop" / f"train_{framework}.py"), *arguments]


def run(framework: str, *arguments: str) -> tuple[str, set[str]]:
    """Run a loop to its end.

    Returns:
        What it printed, and the top-level modules and packages that it imported.
    """
    program, *rest = command(framework, *arguments)
    timed = [program, "-X", "importtime", *rest]
    done = subprocess.run(timed, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2_000:]
    return done.stdout, set(re.findall(r"^import time:.*\| +(\w+)", done.stderr, re.MULTILINE))


def test_a_loop_shows_what_fit_shows(framework: str, gateway: Gateway) -> None:
    """Progress, loss and outcome of the training, and the evaluation beside it; Keras is never imported."""
    began = time.time()
    printed, imported = run(framework, "--epochs", "3", "--gateway", gateway.address)
    assert {framework, "digits", "gangplank"} <= imported
    assert not {"keras", "gangplank_keras"} & imported

    assert gateway.series("gangplank_train_epochs_count") == [(_TRAIN, 3)]
    assert gateway.series("gangplank_train_steps_total") == [(_TRAIN, 3 * _STEPS)]
    assert gateway.series("gangplank_train_step_duration_seconds_count") == [(_TRAIN, 3 * _STEPS)]
    assert gateway.series("gangplank_train_model_parameters_count") == [(_TRAIN, 101_770)]
    assert gateway.series("gangplank_train_learning_rate") == [(_TRAIN, 0.1)]
    assert gateway.series("gangplank_train_running") == [(_TRAIN, 0)]
    for phase, labels, line in (("train", _TRAIN, "Epoch 3/3"), ("test", _TEST, "Test")):
        check_scores(gateway, phase, labels, printed, line)
        check_success(gateway, phase, labels, began)


def check_scores(gateway: Gateway, phase: str, labels: dict[str, str], printed: str, line: str) -> None:
    """See that the gateway has the loss and the accuracy of a line of the output, and that something was learned."""
    found = re.search(rf"^{line}: loss ([\d.]+), accuracy ([\d.]+)$", printed, re.MULTILINE)
    assert found is not None, printed
    for name, said in zip(("loss", "accuracy"), found.groups(), strict=True):
        ((where, value),) = gateway.series(f"gangplank_{phase}_{name}")
        assert (where, f"{value:.4f}") == (labels, said)
    assert float(found[2]) > 0.8


def check_success(gateway: Gateway, phase: str, labels: dict[str, str], began: float) -> None:
    """See that a run is said to have succeeded, in that way alone, and when."""
    outcomes = {each["outcome"]: (each, value) for each, value in gateway.series(f"gangplank_{phase}_outcome")}
    assert outcomes.pop("success") == ({**labels, "outcome": "success"}, 1)
    assert {outcome: value for outcome, (_, value) in outcomes.items()} == dict.fromkeys(
        ("failed", "interrupted", "diverged"), 0
    )
    ((outliving, last_success),) = gateway.series(f"gangplank_{phase}_last_success_timestamp_seconds")
    assert outliving == _OUTLIVING
    assert began <= last_success <= time.time()


def test_a_loop_that_is_stopped_says_so(framework: str, gateway: Gateway, tmp_path: Path) -> None:
    """Ctrl-C ends the program as it ends any, and the gateway has what the run had come to."""
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(framework, "--epochs", "1000000", "--gateway", gateway.address),
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=output,
            stderr=output,
        )
    try:
        wait_for(lambda: process.poll() is not None or "Epoch 2/" in log.read_text(), timeout=120)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == -signal.SIGINT, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert gateway.value("gangplank_train_outcome", outcome="interrupted", model="mnist") == 1
    assert gateway.value("gangplank_train_outcome", outcome="success", model="mnist") == 0
    assert gateway.value("gangplank_train_running", model="mnist") == 0
    assert (gateway.value("gangplank_train_epochs_count", model="mnist") or 0) >= 2
    assert gateway.series("gangplank_train_last_success_timestamp_seconds") == []
    assert gateway.series("gangplank_test_loss") == []

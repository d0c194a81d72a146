"""The page of the examples, followed as it is: its servers at their ports, and each example in its short form."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import needs
import pytest
from realservers import Gateway, Prometheus, free_port, get, is_taken, wait_for

EXAMPLES = Path(__file__).parents[2] / "examples"
GATEWAY, PROMETHEUS = Gateway(9091), Prometheus(9090)
TOTAL = 'gangplank_predict_total{model="mnist"} 101.0'
_HELP = """
import runpy, sys
for script in sys.argv[1:]:
    sys.path[0], sys.argv = script.rpartition("/")[0], [script, "--help"]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        assert not end.code, script
"""


def shell(script: str, folder: Path, without_docker: Path) -> subprocess.CompletedProcess[str]:
    """Run a script of the examples in a folder, where no Docker answers."""
    environment = {**os.environ, "PATH": f"{without_docker}:{os.environ['PATH']}"}
    return subprocess.run(
        [needs.program("sh", "dash"), script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def without_docker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the PATH: of Docker there is a program, and no engine."""
    for name, package in (
        ("curl", "curl"),
        ("prometheus", "prometheus"),
        ("prometheus-pushgateway", "prometheus-pushgateway"),
        ("prometheus-alertmanager", "prometheus-alertmanager"),
    ):
        needs.program(name, package)
    folder = tmp_path_factory.mktemp("bin")
    (folder / "docker").write_text("#!/bin/sh\nexit 1\n")
    (folder / "docker").chmod(0o755)
    if any(is_taken(port) for port in (9090, 9091, 9093)):
        needs.missing("the ports 9090, 9091 and 9093, free")
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The examples in another place, without what they have stored."""
    return Path(shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns(".servers", "models")))


def test_a_failed_start_leaves_nothing(copy: Path, without_docker: Path) -> None:
    """Of servers that it started before the one that failed, neither: no process, no file."""
    with (copy / "alertmanager" / "alertmanager.yml").open("a") as config:
        config.write("nonsense: 1\n")
    done = shell("start_prometheus.sh", copy, without_docker)
    assert done.returncode == 1
    assert "field nonsense not found" in done.stderr
    assert "alertmanager ended" in done.stderr
    assert not any(is_taken(port) for port in (9090, 9091, 9093))
    assert not (copy / ".servers").exists()


@pytest.fixture(scope="module")
def servers(without_docker: Path) -> Iterator[None]:
    """The servers, as the script starts them and stops them."""
    done = shell("start_prometheus.sh", EXAMPLES, without_docker)
    try:
        assert done.returncode == 0, done.stderr
        for port in (9090, 9091, 9093):
            assert f"http://127.0.0.1:{port}\n" in done.stdout
            get(f"http://127.0.0.1:{port}/metrics")  # ready, and not only soon
        yield
    finally:
        stopped = shell("stop_prometheus.sh", EXAMPLES, without_docker)
    assert stopped.stdout == "Stopped.\n", stopped.stderr
    assert not any(is_taken(port) for port in (9090, 9091, 9093))
    assert not (EXAMPLES / ".servers").exists()


def run(script: str, *arguments: str, backend: str = "jax", expected: int = 0) -> str:
    """Run an example in its own process, without a terminal, and return what it printed."""
    for package in (backend, "sklearn"):
        needs.module(package)
    done = subprocess.run(
        [sys.executable, script, *arguments],
        cwd=EXAMPLES,
        env=environment(backend),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == expected, done.stdout + done.stderr
    return done.stdout


def environment(backend: str) -> dict[str, str]:
    """Return the environment of an example."""
    return {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}


@pytest.fixture(scope="module")
def trained(servers: None) -> str:
    """What the training example printed; its model and its metrics are there."""
    return run("train/train.py", "--fast", backend="tensorflow")


def test_they_run_already(servers: None, without_docker: Path) -> None:
    """A second start says so, and starts the one again that is gone."""
    kept = (EXAMPLES / ".servers" / "prometheus.pid").read_text()
    assert "They run already." in shell("start_prometheus.sh", EXAMPLES, without_docker).stdout
    os.kill(int((EXAMPLES / ".servers" / "alertmanager.pid").read_text()), signal.SIGTERM)
    wait_for(lambda: not is_taken(9093))
    assert shell("start_prometheus.sh", EXAMPLES, without_docker).returncode == 0
    get("http://127.0.0.1:9093/-/ready")
    assert (EXAMPLES / ".servers" / "prometheus.pid").read_text() == kept


def test_ports_that_are_taken(servers: None, copy: Path, without_docker: Path) -> None:
    """It says which and by whom, and leaves those alone that are not its own."""
    done = shell("start_prometheus.sh", copy, without_docker)
    assert done.returncode == 1
    for port, server in ((9090, "prometheus"), (9091, "pushgateway"), (9093, "alertmanager")):
        assert f"Port {port}, which {server} needs, is taken by " in done.stderr
    assert "Nothing was started." in done.stderr
    assert not (copy / ".servers").exists()
    assert shell("stop_prometheus.sh", copy, without_docker).stdout == "None of them was running.\n"
    assert all(is_taken(port) for port in (9090, 9091, 9093))


def test_train_then_test_then_custom_metrics(trained: str) -> None:
    """The first two share a job: each leaves what its page promises at the gateway, and Prometheus has it."""
    assert "The best model is in models/mnist_convnet.keras" in trained
    run("test/test.py", "--fast", "--strict")
    run("custom_metrics/train.py", "--fast")
    PROMETHEUS.wait_for('gangplank_train_generalization_gap{job="mnist_custom"}')  # what was pushed last
    for expression, expected in (
        ('gangplank_train_model_parameters_count{job="mnist"}', 104_202),
        ('gangplank_train_epochs_count{job="mnist"}', 3),
        ('gangplank_train_outcome{job="mnist"} == 1', 1),
        ("gangplank_test_model_weights_count", 104_202),
    ):
        ((labels, value),) = PROMETHEUS.query(expression)
        assert value == expected
        assert labels["model"] == "mnist"
    for expression in (
        'time() - gangplank_train_last_success_timestamp_seconds{job="mnist"} >= 0',
        'gangplank_train_val_accuracy{job="mnist"} - ignoring(phase) gangplank_test_accuracy',
        "histogram_quantile(0.5, gangplank_test_model_weights_bucket)",
        'gangplank_train_val_loss{job="mnist_custom"} - gangplank_train_loss{job="mnist_custom"}',
        'gangplank_train_learning_rate{job="mnist_custom"} < 0.002',
    ):
        assert len(PROMETHEUS.query(expression)) == 1, expression
    assert PROMETHEUS.query('gangplank_train_accuracy{job="mnist_custom"}') == []
    lowest = GATEWAY.value("gangplank_test_model_weights_bucket", job="mnist", le="-0.3")
    assert lowest is not None
    assert 0 <= lowest < 104_202


def test_predict_serves_what_it_measured(trained: str) -> None:
    """Without a terminal it shows its metrics and ends; on one Prometheus scrapes it until Enter."""
    if is_taken(8561):
        needs.missing("port 8561, free")
    assert TOTAL in run("predict/predict.py", "--fast")
    ours, its = pty.openpty()
    command = [sys.executable, "predict/predict.py", "--fast"]
    process = subprocess.Popen(
        command, cwd=EXAMPLES, env=environment("jax"), stdin=its, stdout=its, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: process.poll() is not None or PROMETHEUS.query('up{job="mnist"} == 1'), timeout=120)
        ((_, total),) = PROMETHEUS.wait_for('gangplank_predict_total{job="mnist", model="mnist"} == 101')
        assert process.poll() is None
        ((_, batches),) = PROMETHEUS.query('gangplank_predict_batch_size_count{job="mnist"}')
        assert 11 <= batches <= total
        assert PROMETHEUS.query('histogram_quantile(0.9, gangplank_predict_duration_seconds_bucket{method="predict"})')
        os.write(ours, b"\n")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(its)
        os.close(ours)


def test_a_strict_evaluation_fails_without_a_gateway(trained: str) -> None:
    """``--strict`` is ``ignore_exceptions=False``: no gateway, no success."""
    run("test/test.py", "--fast", "--strict", "--gateway", f"127.0.0.1:{free_port()}", expected=1)


def test_the_demo_ends_by_itself_and_shows_what_it_measured() -> None:
    """Without a terminal it trains, evaluates, prints where its metrics are and a table of them, and ends."""
    printed = run("demo/demo.py", "--epochs", "2", "--port", str(free_port()))
    assert "http://127.0.0.1:" in printed
    for name in ("gangplank_train_loss", "gangplank_train_epochs_count", "gangplank_test_accuracy"):
        assert name in printed


def test_help() -> None:
    """Every example that is started by hand says what it takes; all in one process, so that frameworks load once."""
    for package in ("keras", "jax", "torch", "sklearn", "ray", "opentelemetry.exporter.prometheus"):
        needs.module(package)
    scripts = sorted(str(path) for path in EXAMPLES.glob("*/*.py") if "argparse" in path.read_text())
    done = subprocess.run(
        [sys.executable, "-c", _HELP, *scripts], env=environment("jax"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("show this help message and exit") == len(scripts) >= 12

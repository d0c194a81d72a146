"""The examples of OpenTelemetry: a plain program, a provider of somebody else's, and OTLP."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import needs
import pytest
import realservers
import yaml
from instrumented import end, pushing_to, start
from realservers import Gateway, free_port, wait_for

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDER = EXAMPLES / "opentelemetry"
_DONE_WITHIN = 180.0


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("jax", "sklearn", "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
        needs.module(name)
    monkeypatch.setenv("KERAS_BACKEND", "jax")


@contextmanager
def running(log: Path, script: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run an example until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, str(FOLDER / script), *arguments], stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_program_that_knows_nothing(gateway: Gateway, tmp_path: Path) -> None:
    """It has not a word of telemetry, and what it does is at the gateway and at the receiver of OTLP alike."""
    script = FOLDER / "train.py"
    assert "gangplank" not in script.read_text()
    port, log = free_port(), tmp_path / "log"
    with running(log, "receive.py", "--port", str(port)):
        wait_for(lambda: f"http://127.0.0.1:{port}" in log.read_text())
        exporters = pushing_to(
            gateway,
            OTEL_METRICS_EXPORTER="pushgateway,otlp",
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
            OTEL_SERVICE_NAME="mnist",
        )
        done = end(start([str(script), "--epochs=1", "--fast"], **exporters))
        assert done.returncode == 0, done.stderr
    assert "of 101 were read right" in done.stdout
    for name, value in (("train_epochs_count", 1), ("test_outcome", 1), ("predict_total", 101)):
        chosen = {"outcome": "success"} if name == "test_outcome" else {}
        assert gateway.value(f"gangplank_{name}", job="shop", model="mnist", **chosen) == value
    received = log.read_text().splitlines()
    assert "mnist: gangplank_train_epochs_count{model='mnist'} 1" in received
    assert "mnist: gangplank_test_outcome{model='mnist', outcome='success'} 1" in received
    assert "mnist: gangplank_predict{model='mnist'} 101" in received


def test_a_provider_of_somebody_elses(tmp_path: Path) -> None:
    """Prometheus has the program's own metric and ours from one page, while it trains and after."""
    port, folder = free_port(), tmp_path / "prometheus"
    folder.mkdir()
    ours, its = os.openpty()
    command = [sys.executable, str(FOLDER / "provider.py"), "--fast", "--epochs=1", "--port", str(port)]
    with realservers.prometheus(folder, f"127.0.0.1:{port}") as prometheus:
        process = subprocess.Popen(command, stdin=its, stdout=its, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: process.poll() is not None or prometheus.query("digits_read_total == 101"), _DONE_WITHIN)
            assert process.poll() is None
            for expression in (
                'gangplank_train_outcome{model="mnist", outcome="success", otel_scope_name="gangplank"} == 1',
                'gangplank_train_epochs_count{model="mnist"} == 1',
                'gangplank_predict_total{model="mnist"} == 101',
            ):
                assert len(prometheus.wait_for(expression)) == 1
            os.write(ours, b"\n")
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
            os.close(its)
            os.close(ours)


def test_the_collector_is_where_prometheus_looks() -> None:
    """Its configuration has the ports of the examples, and the pipeline has what there is."""
    collector = yaml.safe_load((FOLDER / "collector.yml").read_text())
    prometheus = yaml.safe_load((EXAMPLES / "prometheus" / "prometheus.yml").read_text())
    (job,) = [job for job in prometheus["scrape_configs"] if job["job_name"] == "mnist"]
    assert job["static_configs"] == [{"targets": [collector["exporters"]["prometheus"]["endpoint"]]}]
    pipeline = collector["service"]["pipelines"]["metrics"]
    assert set(pipeline["receivers"]) == collector["receivers"].keys()
    assert set(pipeline["exporters"]) == collector["exporters"].keys()

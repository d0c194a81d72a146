"""A script of the predecessor's users that serves a model, each backend in a process, seen by a real Prometheus."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

import needs
import pytest
from prometheus_client.parser import text_string_to_metric_families
from realservers import free_port, get, prometheus, wait_for

SCRIPTS = Path(__file__).parent / "scripts"
BACKENDS = ("tensorflow", "jax", "torch", "numpy", "openvino")


def _environment(backend: str) -> dict[str, str]:
    needs.module(backend)
    needs.module("keras")
    return {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model."""
    path = tmp_path_factory.mktemp("models") / "net.keras"
    subprocess.run([sys.executable, str(SCRIPTS / "save.py"), str(path)], check=True, env=_environment("numpy"))
    return path


@contextmanager
def _serving(backend: str, script: str, saved: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """Run a script until it is told, by Enter, that it may end."""
    command = [sys.executable, str(SCRIPTS / script), str(saved), str(port)]
    process = subprocess.Popen(
        command, env=_environment(backend), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
        process.communicate("\n", timeout=60)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def _scraped(port: int, path: str = "/metrics") -> dict[str, float]:
    """Return the samples of the model ``net``, none while nobody answers."""
    try:
        text = get(f"http://127.0.0.1:{port}{path}")
    except (URLError, OSError):
        return {}
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("model") == "net"
    }


@pytest.mark.parametrize("backend", BACKENDS)
def test_101_predictions(backend: str, saved: Path, tmp_path: Path) -> None:
    """The predecessor's script, unchanged: 101 at the port and in Prometheus, with all that was there beside it."""
    port = free_port()
    with _serving(backend, "predict.py", saved, port), prometheus(tmp_path, f"127.0.0.1:{port}") as server:
        wait_for(lambda: _scraped(port).get("gangplank_predict_total") == 101, timeout=120)
        scraped = _scraped(port, "/any/path")
        assert scraped["gangplank_predict_time_seconds_total"] > 0
        assert scraped["gangplank_predict_call_total"] == 0
        assert scraped["gangplank_predict_call_time_seconds_total"] == 0
        assert scraped["gangplank_predict_batch_size_sum"] == 101
        assert server.wait_for('gangplank_predict_total{model="net"} == 101')
        for name in ("gangplank_predict_time_seconds_total", "gangplank_predict_batch_size_count"):
            ((_, value),) = server.wait_for(f'{name}{{model="net"}}')
            assert value == scraped[name]
        assert server.wait_for("histogram_quantile(0.9, gangplank_predict_duration_seconds_bucket) > 0")


def test_exemplars(saved: Path, tmp_path: Path) -> None:
    """A prediction in a traced request is an exemplar in Prometheus, which leads to the trace."""
    needs.module("opentelemetry.sdk")
    port = free_port()
    with (
        _serving("numpy", "trace.py", saved, port) as process,
        prometheus(tmp_path, f"127.0.0.1:{port}", ["--enable-feature=exemplar-storage"]) as server,
    ):
        assert process.stdout is not None
        trace_id = process.stdout.readline().strip()
        assert len(trace_id) == 32
        exemplars = wait_for(lambda: server.exemplars("gangplank_predict_duration_seconds_bucket"))
        ((exemplar, series),) = exemplars
        assert exemplar["trace_id"] == trace_id
        assert len(exemplar["span_id"]) == 16
        assert (series["model"], series["method"]) == ("net", "predict")
        ((exemplar, series),) = wait_for(lambda: server.exemplars("gangplank_predict_batch_size_bucket"))
        assert (exemplar["trace_id"], series["le"]) == (trace_id, "4.0")

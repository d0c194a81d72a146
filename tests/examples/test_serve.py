"""The serving example: several workers behind one address, and Prometheus sees them as one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import needs
import pytest
import realservers
from processes import scrape
from realservers import free_port, wait_for

EXAMPLES = Path(__file__).parents[2] / "examples"
MODEL = EXAMPLES / "models" / "mnist_convnet.keras"
_READY_WITHIN = 180.0
"""Seconds: the workers load Keras at once."""


def run(script: str, *arguments: str) -> str:
    """Run an example to its end, and return what it printed."""
    command = [sys.executable, str(EXAMPLES / script), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=180).stdout


@contextmanager
def gunicorn(folder: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the app until the block ends."""
    command = [sys.executable, "-m", "gunicorn", f"--config={EXAMPLES / 'serve' / 'gunicorn.conf.py'}", *options]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--no-control-socket"], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def predict(url: str, pixels: object) -> dict[str, float]:
    """Ask the app which digit an image shows."""
    request = Request(url, json.dumps({"pixels": pixels}).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as reply:
        answer: dict[str, float] = json.load(reply)
        return answer


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run on TensorFlow, as the examples say; what it says of itself is not wanted."""
    for name in ("gunicorn", "fastapi", "tensorflow", "sklearn"):
        needs.module(name)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")


def test_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers answer, what they answer is mostly right, and one that is killed takes no count along."""
    if not MODEL.is_file():
        run("train/train.py", "--fast", "--gateway", f"127.0.0.1:{free_port()}")
    port, metrics = free_port(), free_port()
    url = f"http://127.0.0.1:{port}/predict"
    monkeypatch.setenv("METRICS_PORT", str(metrics))
    monkeypatch.setenv("METRICS_DIR", str(tmp_path / "workers"))
    folder = tmp_path / "prometheus"
    folder.mkdir()
    with gunicorn(tmp_path, f"--bind=127.0.0.1:{port}", "--workers=2") as app:  # enough to see, and sooner there
        log = tmp_path / "log"
        wait_for(lambda: app.poll() is not None or is_ready(log, 2), _READY_WITHIN)
        assert app.poll() is None, log.read_text()
        with realservers.prometheus(folder, f"127.0.0.1:{metrics}") as prometheus:
            printed = run("serve/send.py", "--fast", "--url", url, "--requests", "100", "--threads", "4")
            recognised = re.search(r"^(\d+) were recognised", printed, re.MULTILINE)
            assert recognised is not None
            assert 60 < int(recognised[1]) <= 100
            check_refusals(url)
            prometheus.wait_for('gangplank_predict_call_total{model="mnist"} == 100')
            os.kill(worker(log), signal.SIGKILL)
            wait_for(lambda: is_ready(log, 3), _READY_WITHIN)
            assert set(predict(url, [[0.0] * 28] * 28)) == {"digit", "probability"}
            prometheus.wait_for('gangplank_predict_call_total{model="mnist"} == 101')
            prometheus.wait_for('gangplank_predict_in_flight{model="mnist"} == 0')
        assert scrape(metrics).values("call_total", "batch_size_count", model="mnist") == [101, 101]


def is_ready(log: Path, workers: int) -> bool:
    """Whether so many workers have said that they listen."""
    return log.read_text().count("ASGI server listening") >= workers


def worker(log: Path) -> int:
    """Return the process of one of the workers, as gunicorn logged it."""
    (pid, *_) = re.findall(r"Booting worker with pid: (\d+)", log.read_text())
    return int(pid)


def check_refusals(url: str) -> None:
    """See that what is no image is refused, and no prediction made of it."""
    for pixels in ([[0.0] * 28] * 27, [[0.0], [0.0, 0.0]], "pixels"):
        with pytest.raises(HTTPError) as refused:
            predict(url, pixels)
        assert refused.value.code == 422
        refused.value.close()


def test_without_a_model_it_says_what_to_do(tmp_path: Path) -> None:
    """Once, and does not start."""
    copy = tmp_path / "serve"
    shutil.copytree(EXAMPLES / "serve", copy)
    with gunicorn(tmp_path, f"--config={copy / 'gunicorn.conf.py'}", f"--bind=127.0.0.1:{free_port()}") as app:
        assert app.wait(60) == 1
    assert (tmp_path / "log").read_text().count("run train/train.py first") == 1

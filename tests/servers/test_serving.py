"""Pre-fork servers as people run them: one scrape of all workers is exact, whatever becomes of the workers."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

import needs
import pytest
import realservers
from processes import Page, scrape
from realservers import free_port, wait_for

SCRIPTS = str(Path(__file__).parent / "scripts")
GUNICORN = ["gunicorn", "--no-control-socket", "--graceful-timeout=5", "--bind=127.0.0.1:{port}", "--workers=3"]
SERVERS = {
    "sync": [*GUNICORN, "serving:wsgi"],
    "preloaded": [*GUNICORN, "serving:wsgi", "--worker-class=gthread", "--threads=4", "--preload"],
    "asgi": [*GUNICORN, "serving:asgi", "--worker-class=asgi"],
}
UVICORN = ["uvicorn", "serving:asgi", "--port={port}", "--workers=2"]

_PATIENCE = 60.0
"""Seconds: while all workers load at once, a request waits."""


class App:
    """An app that is served.

    Args:
        port: The app's port.
        metrics: The port of its metrics.
        folder: Where it can be held.
    """

    def __init__(self, port: int, metrics: int, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.metrics = metrics
        self.calls = 0
        self._folder = folder

    def send(self, requests: int) -> set[int]:
        """Send requests, eight at once, all of which succeed, and return which processes answered."""
        with ThreadPoolExecutor(8) as pool:
            answers = set(pool.map(self._predict, range(requests)))
        self.calls += requests
        return answers

    def send_until_others_answer(self, known: set[int]) -> set[int]:
        """Send requests until a worker answers that did not before, and return which that is."""
        return wait_for(lambda: self.send(8) - known, _PATIENCE)

    def kill_in_a_call(self) -> int:
        """Kill a worker in the middle of a call, and return which it was."""
        hold, held = self._folder / "hold", self._folder / "held"
        hold.touch()
        with ThreadPoolExecutor(1) as pool:
            request = pool.submit(self._predict, 0)
            pid = int(wait_for(lambda: held.read_text() if held.is_file() else ""))
            assert self.page().values("in_flight") == [1]
            os.kill(pid, signal.SIGKILL)
            assert isinstance(request.exception(), (OSError, HTTPException))
        hold.unlink()
        return pid

    def _predict(self, _: int) -> int:
        with urlopen(f"{self.url}/predict", timeout=_PATIENCE) as reply:
            return int(reply.read().decode())

    def page(self) -> Page:
        """Return what is scraped. For a moment after the worker that serves it is gone, nobody does."""

        def scraped() -> Page | None:
            try:
                return scrape(self.metrics)
            except OSError:
                return None

        return wait_for(scraped, _PATIENCE)

    def check(self) -> None:
        """See that the page is exact: each call once, and none that was never finished."""
        page, names = self.page(), ("total", "batch_size_count", "batch_size_sum", "in_flight", "call_total")
        assert page.values(*names) == [2 * self.calls, self.calls, 2 * self.calls, 0, 0]
        durations = page.value("gangplank_predict_duration_seconds_count", method="predict_on_batch")
        assert durations == self.calls


@contextmanager
def app(folder: Path, command: list[str], monkeypatch: pytest.MonkeyPatch, *, route: bool = False) -> Iterator[App]:
    """Serve the app with a server that is a Python module, and its metrics at a port or at a route of the app."""
    needs.module(command[0])
    needs.module("jax")  # in which Keras's backend for NumPy is written
    port = free_port()
    served = App(port, port if route else free_port(), folder)
    if not route:
        monkeypatch.setenv("PORT", str(served.metrics))
    for name, value in {"FOLDER": str(folder), "PYTHONPATH": SCRIPTS, "KERAS_BACKEND": "numpy"}.items():
        monkeypatch.setenv(name, value)
    with realservers.serving([sys.executable, "-m", *(one.format(port=port) for one in command)], served.url, folder):
        yield served


@pytest.mark.parametrize("command", SERVERS.values(), ids=SERVERS)
def test_gunicorn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    """Workers killed while idle and in the middle of a call, and replaced; and a real Prometheus has it all."""
    with app(tmp_path, command, monkeypatch) as served:
        folder = tmp_path / "prometheus"
        folder.mkdir()
        with realservers.prometheus(folder, f"127.0.0.1:{served.metrics}") as prometheus:
            known = served.send(100)
            served.check()
            os.kill(min(known), signal.SIGKILL)
            served.check()
            known |= served.send_until_others_answer(known)
            served.check()
            known.add(served.kill_in_a_call())
            served.check()
            served.send_until_others_answer(known)
            served.send(100)
            served.check()
            calls = served.calls
            prometheus.wait_for(f'gangplank_predict_total{{model="net"}} == {2 * calls}')
            prometheus.wait_for(f'gangplank_predict_batch_size_bucket{{model="net", le="2.0"}} == {calls}')
            assert prometheus.query('gangplank_predict_in_flight{model="net"} == 0')
            assert prometheus.query('resets(gangplank_predict_total{model="net"}[10m]) == 0')


@pytest.mark.parametrize("name", ["sync", "preloaded"])
def test_gunicorn_recycles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Workers that end by themselves after some requests, as --max-requests has it."""
    with app(tmp_path, [*SERVERS[name], "--max-requests=50"], monkeypatch) as served:
        answered = served.send(50)
        while len(answered) < 6:
            answered |= served.send(50)
        served.check()
        assert len(list((tmp_path / "workers").glob("*.gangplank"))) <= 1 + 1 + 3  # the archive, the parent, workers


def test_uvicorn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its workers are no forks: each loads the app for itself, and it replaces those that are gone."""
    with app(tmp_path, UVICORN, monkeypatch) as served:
        known = served.send(50)
        os.kill(min(known), signal.SIGKILL)
        served.check()
        served.send_until_others_answer(known)
        served.check()


@pytest.mark.parametrize("command", [SERVERS["preloaded"], UVICORN], ids=["wsgi", "asgi"])
def test_a_route_of_the_apps_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    """Whichever worker answers it shows what all did, and there is no other port."""
    with app(tmp_path, command, monkeypatch, route=True) as served:
        served.send(50)
        for _ in range(20):
            served.check()
        assert not list((tmp_path / "workers").glob("port-*"))


def test_counts_go_on_over_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the whole server; a counter that went back would be a rate that nobody had."""
    calls = 0
    for _ in range(2):
        with app(tmp_path, SERVERS["preloaded"], monkeypatch) as served:
            served.calls = calls
            served.send(20)
            served.check()
            calls = served.calls

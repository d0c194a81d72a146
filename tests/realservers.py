"""The real servers, on free loopback ports, each with a folder of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import needs
from prometheus_client.parser import text_string_to_metric_families

_READY_WITHIN = 60.0
T = TypeVar("T")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_taken(port: int) -> bool:
    """Whether something listens on a port of this machine's loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(what: Callable[[], T | None], timeout: float = _READY_WITHIN) -> T:
    """Return the first result of ``what`` that is not None or False.

    Raises:
        TimeoutError: there was none within ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        result = what()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout} s, last saw {result!r}")
        time.sleep(0.05)


def get(url: str) -> str:
    """Return what ``url`` answers."""
    with urlopen(url, timeout=5) as reply:
        return str(reply.read().decode())


@contextmanager
def serving(command: list[str], url: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; the block begins when it is ready."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        wait_for(lambda: process.poll() is not None or _answers(f"{url}/-/ready"))
        assert process.poll() is None, (folder / "log").read_text()
        yield process
    finally:
        process.terminate()
        process.wait(10)


def _answers(url: str) -> bool:
    try:
        get(url)
    except (URLError, OSError):
        return False
    return True


class Gateway:
    """A real Pushgateway."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"

    def series(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each series of that name that has these labels."""
        return [
            (sample.labels, sample.value)
            for family in text_string_to_metric_families(get(f"{self.url}/metrics"))
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of the one series of that name that has these labels, or None."""
        found = self.series(name, **labels)
        assert len(found) <= 1, found
        return found[0][1] if found else None


@contextmanager
def pushgateway(folder: Path, port: int | None = None) -> Iterator[Gateway]:
    """Run a Pushgateway."""
    program = needs.program("prometheus-pushgateway", "prometheus-pushgateway")
    gateway = Gateway(port or free_port())
    # Debian's build keeps its metrics under /var/lib unless told otherwise.
    command = [program, f"--web.listen-address={gateway.address}", f"--persistence.file={folder / 'metrics'}"]
    with serving(command, gateway.url, folder):
        yield gateway


class Prometheus:
    """A real Prometheus."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each series that an instant query gives."""
        answer: Any = json.loads(get(f"{self.url}/api/v1/query?{urlencode({'query': expression})}"))
        return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

    def range(self, expression: str, seconds: float, step: float) -> list[tuple[dict[str, str], list[float]]]:
        """Return labels and values of each series that a query gives over the last seconds.

        Raises:
            HTTPError: it is no query.
        """
        now = time.time()
        window = {"query": expression, "start": now - seconds, "end": now, "step": step}
        answer: Any = json.loads(get(f"{self.url}/api/v1/query_range?{urlencode(window)}"))
        return [(one["metric"], [float(value) for _, value in one["values"]]) for one in answer["data"]["result"]]

    def rules(self) -> list[dict[str, Any]]:
        """Return all rules, with how they are."""
        answer: Any = json.loads(get(f"{self.url}/api/v1/rules"))
        return [rule for group in answer["data"]["groups"] for rule in group["rules"]]

    def exemplars(self, expression: str) -> list[tuple[dict[str, str], dict[str, str]]]:
        """Return the labels of each exemplar of the last minute that a query gives, and those of its series."""
        window = {"query": expression, "start": time.time() - 60, "end": time.time() + 60}
        answer: Any = json.loads(get(f"{self.url}/api/v1/query_exemplars?{urlencode(window)}"))
        return [(one["labels"], series["seriesLabels"]) for series in answer["data"] for one in series["exemplars"]]

    def wait_for(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Wait until a query gives something."""
        return wait_for(lambda: self.query(expression))


@contextmanager
def prometheus(
    folder: Path,
    target: str,
    arguments: Iterable[str] = (),
    *,
    also: Iterable[str] = (),
    rules: Iterable[Path] = (),
    alertmanager: str | None = None,
) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes ``target``, labels as they are.

    Args:
        folder: Where it keeps what it stores.
        target: ``host:port``.
        arguments: More of its command line.
        also: More targets.
        rules: Files of rules, which it evaluates as often as it scrapes.
        alertmanager: ``host:port`` of who is told of alerts.
    """
    program = needs.program("prometheus", "prometheus")
    server = Prometheus(free_port())
    told = [{"static_configs": [{"targets": [alertmanager]}]}] if alertmanager else []
    scraped = {"job_name": "target", "honor_labels": True, "static_configs": [{"targets": [target, *also]}]}
    config = {
        "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "250ms"},
        "rule_files": [str(path) for path in rules],
        "alerting": {"alertmanagers": told},
        "scrape_configs": [scraped],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # which is YAML too
    command = [
        program,
        f"--web.listen-address={server.address}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--config.file={folder / 'prometheus.yml'}",
        *arguments,
    ]
    with serving(command, server.url, folder):
        yield server


class Alertmanager:
    """A real Alertmanager."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"

    def alerts(self, name: str) -> list[dict[str, Any]]:
        """Return the alerts of that name that are active now, as its API shows them."""
        found: Any = json.loads(get(f"{self.url}/api/v2/alerts?{urlencode({'filter': f'alertname={name}'})}"))
        return [one for one in found if one["status"]["state"] == "active"]


@contextmanager
def alertmanager(folder: Path) -> Iterator[Alertmanager]:
    """Run an Alertmanager that tells nobody."""
    program = needs.program("prometheus-alertmanager", "prometheus-alertmanager")
    server = Alertmanager(free_port())
    (folder / "alertmanager.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    command = [
        program,
        f"--web.listen-address={server.address}",
        f"--storage.path={folder / 'data'}",
        f"--config.file={folder / 'alertmanager.yml'}",
        "--cluster.listen-address=",  # alone
    ]
    with serving(command, server.url, folder):
        yield server

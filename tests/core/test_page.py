"""Who gets the page, and who metrics; over real HTTP on loopback."""

from __future__ import annotations

import gzip
import json
import math
import os
import re
import threading
from collections.abc import Callable, Iterator
from email.message import Message
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from prometheus_client import CollectorRegistry

from gangplank import PrometheusExporter, Telemetry
from gangplank.catalogue import model_metric
from gangplank.exporters.multiprocess.election import ElectedServer
from gangplank.exporters.page import watch
from gangplank.exporters.page.accept import prefers_page
from gangplank.exporters.page.document import document
from gangplank.exporters.scrape import Scrape
from gangplank.history.recorder import History
from gangplank.metrics import Phase

FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
HISTORY = "/page/history.json"
LINE = 'gangplank_train_loss{model="net"} 0.5\n'


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """A telemetry with a loss in it."""
    with Telemetry() as telemetry:
        telemetry.state.gauge(model_metric(Phase.TRAIN, "loss"), model="net").set(0.5)
        yield telemetry


@pytest.fixture
def server(telemetry: Telemetry) -> Scrape:
    """Its scrape endpoint."""
    return telemetry.attach(PrometheusExporter(port=0))


def get(server: Scrape, path: str, accept: str = "*/*", **headers: str) -> tuple[Message, str]:
    """Return the headers and the text at a path."""
    request = Request(server.url.removesuffix("/metrics") + path, headers={"Accept": accept, **headers})
    with urlopen(request, timeout=10) as reply:
        body = reply.read()
        return reply.headers, (gzip.decompress(body) if reply.headers["Content-Encoding"] else body).decode()


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (FIREFOX, True),
        (CHROMIUM, True),
        ("text/html", True),
        ("TEXT/HTML; charset=utf-8", True),
        ("text/html, text/plain, */*;q=0.01", True),  # as Lynx has it
        ("text/plain;q=0.5, text/html", True),
        ("text/html;q=0.2, text/*;q=0.1", True),
        (None, False),
        ("", False),
        ("*/*", False),
        ("text/*", False),
        (PROMETHEUS, False),
        ("text/plain, text/html", False),
        ("text/html;q=0.5, text/plain", False),
        ("text/html;q=0.5, text/*;q=0.9", False),
        ("text/html;q=0.5, */*", False),
        ("text/html;q=0.9, application/openmetrics-text", False),
        ("text/html;q=0", False),
        ("text/html;q=high", False),
        ("text/html;q=2", False),
        ("application/json", False),
        (";;,,q=1", False),
    ],
)
def test_who_asks_for_a_page(accept: str | None, is_page: bool) -> None:
    """HTML by name, and no less than metrics."""
    assert prefers_page(accept) is is_page


def test_a_browser_gets_the_page(server: Scrape) -> None:
    """Under headers that let it do no more than it needs."""
    for path in ("", "/", "/?x=y"):
        headers, text = get(server, path, FIREFOX)
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert text.encode() == document().body
    assert headers["Content-Security-Policy"] == document().policy
    assert headers["Vary"] == "Accept, Accept-Encoding"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Access-Control-Allow-Origin"] is None


def test_everyone_else_gets_metrics(server: Scrape) -> None:
    """At any path, as with the predecessor, and told that it depends on what was asked for."""
    for path in ("", "/", "/metrics", "/any/where", "/page", "/page/"):
        for accept in ("*/*", PROMETHEUS, "text/plain"):
            headers, text = get(server, path, accept)
            assert "gangplank_train_loss" in text
            assert headers["Vary"] == "Accept, Accept-Encoding"


def test_a_browser_gets_metrics_at_their_own_path(server: Scrape) -> None:
    """Whoever opens /metrics wants to see them."""
    assert LINE in get(server, "/metrics", CHROMIUM)[1]


def test_the_page_is_small_and_needs_nothing_else() -> None:
    """One document, no address of another server in it, and no script or style but those that the policy names."""
    page = document()
    text = page.body.decode()
    assert len(page.body) < 60_000
    assert set(re.findall(r"https?://[\w./]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert (text.count("<script"), text.count("<style"), text.count(" style=")) == (1, 1, 0)
    assert not re.search(r"\bon[a-z]+=|innerHTML|insertAdjacentHTML|document\.write|eval\(", text)
    rules = dict(rule.split(" ", 1) for rule in page.policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == rules["frame-ancestors"] == "'none'"
    assert rules["connect-src"] == "'self'"
    assert "unsafe" not in page.policy
    assert rules["script-src"].startswith("'sha256-")
    assert rules["style-src"].startswith("'sha256-")


def test_the_history_is_json(server: Scrape) -> None:
    """Whoever asks; whole at first, and then what is new."""
    headers, text = get(server, HISTORY, "*/*", **{"Accept-Encoding": "gzip"})
    assert headers["Content-Type"] == "application/json"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    found = json.loads(text)
    assert found["subjects"][0]["model"] == "net"
    for query in (f"since={found['now']}", "boot=x&since=nan", f"boot={found['boot']}&since=x", "since=&boot="):
        assert json.loads(get(server, f"{HISTORY}?{query}")[1])["subjects"][0]["model"] == "net"


def test_without_the_page_all_is_metrics(telemetry: Telemetry) -> None:
    """And no history is kept, nor a thread for it."""
    before = threading.active_count()
    server = telemetry.attach(PrometheusExporter(port=0, page=False))
    for path in ("", "/", "/metrics", HISTORY):
        headers, text = get(server, path, FIREFOX)
        assert LINE in text
        assert headers["Content-Type"].startswith("text/plain")
    assert threading.active_count() <= before + 2  # the server's, and that of a request that ends now
    assert not history_threads()


@pytest.mark.parametrize("page", ["yes", 1, None])
def test_page_must_be_a_flag(page: Any) -> None:
    """As anything else that is wrong, it is said at construction."""
    with pytest.raises(TypeError, match="page must be True or False"):
        PrometheusExporter(page=page)


def history_threads() -> list[threading.Thread]:
    """Return the threads that sample."""
    return [thread for thread in threading.enumerate() if thread.name == "gangplank-history"]


def test_one_history_for_a_registry_as_long_as_it_is_served(telemetry: Telemetry) -> None:
    """However many ports show it; it ends with the last of them, and its thread too."""
    registry = CollectorRegistry()
    servers = [telemetry.attach(PrometheusExporter(port=0, registry=registry)) for _ in range(2)]
    assert len(history_threads()) == 1
    assert len({json.loads(get(server, HISTORY)[1])["boot"] for server in servers}) == 1
    servers[0].close()
    assert len(history_threads()) == 1
    servers[1].close()
    assert not history_threads()
    assert registry not in watch._watches


def test_a_run_of_many_short_epochs_is_there_from_its_first(telemetry: Telemetry, server: Scrape) -> None:
    """Though there are more of them before the first sample than are kept."""
    with telemetry.training_run("net") as run:
        for epoch in range(1, 3001):
            run.epoch({"loss": 1 / epoch})
    [line] = [one for one in json.loads(get(server, HISTORY)[1])["lines"] if one["chart"] == "loss"]
    assert (line["v"][0], line["v"][-1]) == (1.0, 1 / 3000)
    assert 1000 <= len(line["v"]) <= 2003


def test_a_page_that_asks_until_the_end_is_told_how_it_ended(telemetry: Telemetry, server: Scrape) -> None:
    """Though what is scraped is gone by then."""
    registry = CollectorRegistry()
    watched, end = watch.begin(registry, telemetry.trouble)
    with telemetry.training_run("net") as run:
        telemetry.attach(PrometheusExporter(port=None, registry=registry))
        run.epoch({"loss": 0.25})
    end()
    telemetry.close()
    assert watched.report("", 0.0)["subjects"][0]["training"]["words"] == "Done"


def test_a_history_that_fails_is_the_pages_trouble_alone(
    telemetry: Telemetry, server: Scrape, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page hears of it, the log once, and training and scrapes nothing."""

    def broken(self: object, *args: object) -> None:
        raise RuntimeError

    for name in ("note", "settle"):
        monkeypatch.setattr(History, name, broken)
    with telemetry.training_run("net") as run:
        run.epoch({"loss": 0.25})
    with pytest.raises(OSError, match="500"):
        get(server, HISTORY)
    assert "RuntimeError" in get(server, "/metrics")[1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_keeps_no_history_of_its_parents(script: Callable[..., Any]) -> None:
    """It has no thread that would; what it trains is noted by none. A server of its own has a history of its own."""
    process = script("""
        import json, os
        from urllib.request import urlopen
        from prometheus_client import CollectorRegistry
        from gangplank import PrometheusExporter, Telemetry

        def boot(server):
            return json.load(urlopen(server.url.replace("metrics", "page/history.json")))["boot"]

        registry = CollectorRegistry()
        telemetry = Telemetry()
        before = boot(telemetry.attach(PrometheusExporter(port=0, registry=registry)))
        child = os.fork()
        if not child:
            with Telemetry() as own, own.training_run("net") as run:
                telemetry.notify()
                server = own.attach(PrometheusExporter(port=0, registry=registry))
                run.epoch({"loss": 1})
                print(boot(server) != before, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        telemetry.close()
    """)
    assert (process.stdout, process.stderr) == ("True\n", "")


def test_a_method_that_is_not_get_is_answered_as_before(server: Scrape) -> None:
    """The page answers no more than it must."""
    request = Request(server.url.replace("/metrics", HISTORY), method="DELETE")
    with pytest.raises(OSError, match=str(HTTPStatus.METHOD_NOT_ALLOWED.value)):
        urlopen(request, timeout=10)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_the_page_of_several_processes(tmp_path: Path, port: int) -> None:
    """What a scrape of the directory shows; this process's own epochs are noted one by one."""
    exporter = PrometheusExporter(port=port, multiprocess_dir=tmp_path)
    with Telemetry(exporters=[exporter]) as telemetry, telemetry.training_run("net") as run:
        [server] = telemetry.handles
        assert isinstance(server, ElectedServer)
        for loss in (3.0, 2.0, math.nan):
            run.epoch({"loss": loss})
        text = get(server, HISTORY)[1]
        [line] = [one for one in json.loads(text)["lines"] if one["chart"] == "loss"]
        assert line["v"] == [3.0, 2.0, "NaN"]
        assert get(server, "/", FIREFOX)[1].startswith("<!doctype html>")
    assert not history_threads()

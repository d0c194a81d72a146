"""``gangplank check`` of a scrape endpoint, and of what is there where nothing is configured."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import pytest
from checking import Always, Check
from checking import Server as HTTPServer
from faults import Fault, dripping
from faultserver import Server
from pushes import LOSS
from pushsettings import PREFIX as P
from pushsettings import SECRET
from realservers import free_port

from gangplank import PrometheusExporter, Telemetry
from gangplank.exporters.pushgateway import settings as push

pytestmark = pytest.mark.usefixtures("_one_process")


def test_a_scrape_endpoint_that_is_fine(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """By option and by variable; how many metrics there are is said."""
    telemetry = Telemetry()
    scrape = telemetry.attach(PrometheusExporter(port=0))
    telemetry.state.gauge(LOSS, model="net").set(0.5)
    port = scrape.url.split(":")[2].split("/")[0]
    status, out = check("--scrape", f"127.0.0.1:{port}")
    assert status == 0
    assert re.search(r"answers with \d+ metrics, [1-9]\d* of them Gangplank's", out)
    assert check("--scrape", scrape.url)[0] == 0
    monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_HOST", "127.0.0.1")
    monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_PORT", port)
    status, out = check()
    assert status == 0
    assert "[OTEL_EXPORTER_PROMETHEUS_HOST and OTEL_EXPORTER_PROMETHEUS_PORT]" in out
    telemetry.close()


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>"), (200, b"\xff\x00"), (404, b""), (500, b""), (401, b"")])
def test_a_scrape_endpoint_that_is_none(check: Check, server: HTTPServer, status: int, body: bytes) -> None:
    """Something answers there, and it is said what."""
    server.status, server.body = status, Always(body)
    found, out = check("--scrape", server.address)
    assert found == 1
    [line] = [line for line in out.splitlines() if "WRONG" in line]
    assert "not with metrics" in line if status == 200 else str(status) in line


def test_what_a_scrape_endpoint_wants_to_know_is_not_shown(check: Check, server: HTTPServer) -> None:
    """An address with a user is one that can be typed here, too."""
    server.body = Always(b"# TYPE a gauge\na 1\n")
    _, out = check("--scrape", f"http://me:{SECRET}@{server.address}")
    assert SECRET not in out


def test_nothing_listens_where_metrics_are_scraped(check: Check) -> None:
    """It is only wrong if it should be now, which is said."""
    status, out = check("--scrape", f"127.0.0.1:{free_port()}")
    assert status == 1
    assert "it answers only while a program that serves its metrics there is running" in out


def test_a_silent_scrape_endpoint(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is given up on."""
    monkeypatch.setattr("gangplank.commands.scraping._PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        status, out = check("--scrape", f"127.0.0.1:{silent.getsockname()[1]}")
    assert status == 1
    assert "no answer within 0.2 s" in out


def test_a_scrape_endpoint_that_drips(check: Check, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No byte of it is late, and all of it would never be there."""
    monkeypatch.setattr("gangplank.commands.scraping._PATIENCE", 0.5)
    with Server(Fault(dripping(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")), tmp_path) as dripper:
        status, out = check("--scrape", dripper.url)
    assert status == 1
    assert "within 0.5 s" in out


@pytest.mark.parametrize("path", ["/é", "/%C3%A9"])
def test_a_path_of_any_characters(check: Check, server: HTTPServer, path: str) -> None:
    """Is asked for as a browser would."""
    server.body = Always(b"# TYPE a gauge\na 1\n")
    assert check("--scrape", f"http://{server.address}{path}")[0] == 0
    assert server.asked[-1][1] == "/%C3%A9"


def test_a_host_in_the_form_of_ipv6(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """As OpenTelemetry's variable has it: without brackets."""
    monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_HOST", "::1")
    monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_PORT", str(free_port()))
    status, out = check()
    assert status == 1
    assert "http://[::1]:" in out


def defaults(monkeypatch: pytest.MonkeyPatch, gateway: str, scrape: str) -> None:
    """Have what is by default be elsewhere, where nothing of this machine answers."""

    def resolve(given: dict[str, Any], **others: Any) -> push.Settings:
        others["defaults"] = {**others["defaults"], "address": gateway}
        return push.resolve(given, **others)

    monkeypatch.setattr("gangplank.commands.pushing.resolve", resolve)
    monkeypatch.setattr("gangplank.commands.scraping._url", Always(f"http://{scrape}/metrics"))


def test_nothing_is_configured(check: Check, server: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are looked for where they are by default, and one of them is enough."""
    nowhere = f"127.0.0.1:{free_port()}"
    server.body = Always(b"# TYPE gangplank_train_loss gauge\n")
    for gateway, scrape in ((server.address, nowhere), (nowhere, server.address)):
        defaults(monkeypatch, gateway, scrape)
        status, out = check()
        assert status == 0
        assert "nothing is configured" not in out
        assert f"http://{server.address}" in out
    defaults(monkeypatch, nowhere, nowhere)
    status, out = check()
    assert status == 1
    assert "nothing is configured, and nothing answers" in out


def test_one_that_is_configured_is_not_made_up_for_by_the_other(
    check: Check, server: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who pushes is not helped by a scrape endpoint that answers, nor is that looked for."""
    defaults(monkeypatch, f"127.0.0.1:{free_port()}", server.address)
    monkeypatch.setenv(f"{P}JOB", "mnist")
    status, out = check()
    assert status == 1
    assert "Scrape endpoint" not in out
    assert server.asked == []

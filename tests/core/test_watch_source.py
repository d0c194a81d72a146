"""Where a watch reads: what answers there, how to be known to it, and what is said if nothing does."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import trustme
from checking import Always, Server
from prometheus_client import CollectorRegistry
from realservers import free_port

from gangplank import ConfigurationError, PrometheusExporter, Telemetry
from gangplank.training import TrainingRun
from gangplank.watch import exposition, reading, source
from gangplank.watch.address import settings_for
from gangplank.watch.poll import Update, poll
from gangplank.watch.prometheus import PrometheusServer
from gangplank.watch.reading import Reading, ReadingError
from gangplank.watch.source import Source

ENDPOINT = "OTEL_EXPORTER_PUSHGATEWAY_ENDPOINT"
PAGE = b'# TYPE gangplank_train_loss gauge\ngangplank_train_loss{model="net"} 0.5\n'


def source_of(url: str, certificate: str | None = None) -> Source:
    """Return a source that asks for a minute of the past, and then every second."""
    return Source(settings_for(url, certificate), since=60, interval=1)


def problem(url: str) -> str:
    """Return why there is nothing to be read."""
    update = poll(source_of(url))
    assert update.readings == ()
    return update.problem


def samples(update: Update) -> dict[str, float]:
    """Return what was read last."""
    assert update.problem == ""
    return {one.name: one.value for one in update.readings[-1].samples}


class Api:
    """Answers as a Prometheus server does.

    Args:
        result: What its queries of a range find.
    """

    def __init__(self, result: str = "[]") -> None:
        self.result = result

    def __call__(self, request: BaseHTTPRequestHandler) -> bytes:
        """Answer."""
        is_time = request.path.startswith("/api/v1/query?")
        result = '[1700000000.0, "1700000000.0"]' if is_time else self.result
        return f'{{"status": "success", "data": {{"result": {result}}}}}'.encode()


def test_a_page_is_found_beside_what_is_no_prometheus(server: Server) -> None:
    """Under the path that scrapes have; after that nothing else is asked."""
    server.body = Always(PAGE)
    one = source_of(server.address)
    assert one.kind == ""
    assert samples(poll(one)) == samples(poll(one)) == {"gangplank_train_loss": 0.5}
    assert [path.partition("?")[0] for _, path, _ in server.asked] == ["/api/v1/query", "/metrics", "/metrics"]
    assert one.kind == "metrics page"


def test_a_page_that_is_named_is_the_one(server: Server) -> None:
    """Even of a Prometheus server, which has metrics of its own."""
    server.body = Always(PAGE)
    assert samples(poll(source_of(f"{server.address}/a/metrics"))) == {"gangplank_train_loss": 0.5}
    assert [path for _, path, _ in server.asked] == ["/a/metrics"]


def test_what_is_not_there_is_found_when_it_comes(server: Server) -> None:
    """A watch may begin before what it watches."""
    server.status = 503
    one = source_of(server.address)
    assert "answered 503" in poll(one).problem
    server.status, server.body = 200, Always(PAGE)
    assert samples(poll(one)) == {"gangplank_train_loss": 0.5}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<!doctype html><p>hello</p>", "not with metrics"),
        (b'{"status": "ok"}', "not with metrics"),
        (b"\x89PNG\xff\xfe", "not with metrics"),
        (b"# TYPE gangplank_train_loss gauge\ngangplank_train_loss{model=\n", "not Prometheus's text format"),
        (b'# TYPE a gauge\ngangplank_train_loss{model="net"} zero\n', "not Prometheus's text format"),
    ],
)
def test_what_is_no_page_is_said(body: bytes, said: str, server: Server) -> None:
    """In words, with the address."""
    server.body = Always(body)
    assert said in problem(server.address)
    assert server.address in problem(server.address)


@pytest.mark.parametrize("body", [b"", b"\n", b"# TYPE up gauge\nup 1\n", b"up 1\n"])
def test_a_page_without_anything_of_ours_is_none_the_less_one(body: bytes, server: Server) -> None:
    """There may be something later."""
    server.body = Always(body)
    assert samples(poll(source_of(server.address))) == {}


def test_others_metrics_are_not_even_parsed() -> None:
    """A gateway is shared: what somebody else pushes there may be a lot, and wrong."""
    page = PAGE.decode() + 'other{a="\u2028gangplank_train_mae 1"} 1\nbroken{ x\n'
    assert {one.name for one in exposition.read("page", page).samples} == {"gangplank_train_loss"}


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
def test_what_is_not_finite_arrives(value: str) -> None:
    """It is for the view to say so."""
    (one,) = exposition.read("page", f"gangplank_train_loss {value}\n").samples
    assert str(one.value) == str(float(value))


def test_there_are_bounds(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a page's length, and of its samples, with how many are left out."""
    lines = "".join(f'gangplank_train_loss{{model="{index}"}} 1\n' for index in range(30))
    monkeypatch.setattr(exposition, "MOST_SAMPLES", 20)
    found = exposition.read("page", lines)
    assert (len(found.samples), found.left_out) == (20, 10)
    monkeypatch.setattr(source, "LARGEST_PAGE", 100)
    server.body = Always(lines.encode())
    assert "more than" in problem(server.address)
    assert reading.MOST_SAMPLES >= 10_000


def test_a_server_that_never_ends_its_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a time for all of it."""
    held = threading.Event()
    monkeypatch.setattr("gangplank.watch.address._PATIENCE", 0.3)

    def hold(_: BaseHTTPRequestHandler) -> bytes:
        held.wait(10)
        return b""

    server.body = hold
    try:
        assert "did not answer within 0.3 s" in problem(server.address)
    finally:
        held.set()


def test_nothing_listens() -> None:
    """The reason is the system's."""
    address = f"http://127.0.0.1:{free_port()}"
    said = problem(address)
    assert said.startswith(f"{address}: ")
    assert "refused" in said


def test_a_prometheus_is_asked_for_the_past_and_then_for_what_is_new(server: Server) -> None:
    """Moment by moment, by its own clock."""
    series = {"metric": {"__name__": "gangplank_train_loss", "model": "net", "job": ""}}
    values = [[1699999990, "1.5"], [1700000000, "NaN"]]
    server.body = Api(json.dumps([{**series, "values": values}]))
    one = source_of(server.address)
    update = poll(one)
    assert one.kind == "Prometheus"
    assert [found.time for found in update.readings[:2]] == [1699999990, 1700000000]
    (sample,) = update.readings[0].samples
    assert (sample.name, sample.labels, sample.value) == (
        "gangplank_train_loss",
        frozenset({("model", "net")}),
        1.5,
    )
    poll(one)
    ranges = [path for _, path, _ in server.asked if path.startswith("/api/v1/query_range")]
    assert len(ranges) == 2
    begins = [float(path.partition("start=")[2].partition("&")[0]) for path in ranges]
    assert begins[0] == pytest.approx(1699999940, abs=5)
    assert begins[1] > begins[0] + 50


def test_what_was_missed_is_asked_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an outage of a minute there are its sixty moments."""
    asked: list[str] = []
    now = [1000.0]
    monkeypatch.setattr("gangplank.watch.prometheus.time.time", lambda: now[0])

    def get(path: str) -> str:
        asked.append(path)
        return '{"data": {"result": []}}'

    server = PrometheusServer(get, since=3600, interval=1)
    server.read()
    now[0] += 60
    server.read()
    assert "start=-2600.000&end=1000.000&step=15.000" in asked[0]
    assert "start=1001.000&end=1060.000&step=1.000" in asked[1]


def test_that_there_is_nothing_any_more_is_a_reading() -> None:
    """Else what has gone would stand as it was."""
    answer = '{"data": {"result": [{"metric": {"__name__": "gangplank_train_loss"}, "values": [[1, "1"]]}]}}'
    found = PrometheusServer(lambda _: answer, since=60, interval=1).read()
    assert [len(one.samples) for one in found] == [1, 0]


@pytest.mark.parametrize(
    "result",
    ["null", "[null]", '[{"metric": {}}]', '[{"metric": {"__name__": "gangplank_x"}, "values": [[1]]}]', "[" * 99_999],
)
def test_an_answer_that_is_none(result: str, server: Server) -> None:
    """Whatever a server makes up, it is said in words."""
    server.body = Api(result)
    assert "not what Prometheus's query_range gives" in problem(server.address)


def test_names_that_no_metric_of_ours_has_are_left_out(server: Server) -> None:
    """Prometheus allows any text."""
    metric = {"__name__": "gangplank_\x1b[31m", "model": "net"}
    server.body = Api(json.dumps([{"metric": metric, "values": [[1, "1"]]}]))
    assert all(not found.samples for found in poll(source_of(server.address)).readings)


@pytest.mark.parametrize("status", [401, 403])
def test_who_is_not_let_in_is_told(status: int, server: Server) -> None:
    """And nothing else is tried."""
    server.status = status
    assert "who is asking" in problem(server.address)


def test_a_password_goes_out_and_is_not_said(server: Server) -> None:
    """Neither where it is shown nor in what went wrong."""
    server.status = 500
    server.body = lambda request: str(request.headers).encode()
    one = source_of(f"http://user:hush-hush@{server.address}")
    assert "hush" not in one.url
    assert "hush" not in poll(one).problem
    authorization = server.asked[0][2]
    assert authorization == f"Basic {base64.b64encode(b'user:hush-hush').decode()}"
    assert authorization.split()[1] not in poll(one).problem


@pytest.mark.parametrize("is_gateway", [True, False])
def test_the_gateways_token_is_for_the_gateway(
    server: Server, monkeypatch: pytest.MonkeyPatch, *, is_gateway: bool
) -> None:
    """What the environment says is told to nobody else."""
    server.body = Always(PAGE)
    monkeypatch.setenv(ENDPOINT, f"http://{server.address}" if is_gateway else "http://elsewhere:9091")
    monkeypatch.setenv("OTEL_EXPORTER_PUSHGATEWAY_BEARER_TOKEN", "hush")
    poll(source_of(f"http://{server.address}/metrics"))
    assert [found for _, _, found in server.asked] == (["Bearer hush"] if is_gateway else [None])


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "URL must not be empty"),
        ("ftp://a", "URL has the scheme"),
        ("http://u:hush@a:x", "not shown"),
        ("a b", "URL"),
    ],
)
def test_what_is_no_address(url: str, said: str) -> None:
    """Before anything is asked."""
    with pytest.raises(ConfigurationError, match=said) as raised:
        settings_for(url)
    assert "hush" not in str(raised.value)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address of a page over HTTPS, and the file of the authority that vouches for it."""
    authority = trustme.CA()
    own = authority.issue_cert("localhost")
    files = [str(tmp_path / name) for name in ("ca", "cert", "key")]
    authority.cert_pem.write_to_path(files[0])
    own.cert_chain_pems[0].write_to_path(files[1])
    own.private_key_pem.write_to_path(files[2])
    exporter = PrometheusExporter(port=0, certfile=files[1], keyfile=files[2], registry=CollectorRegistry())
    with Telemetry(exporters=[exporter]) as telemetry:
        TrainingRun(telemetry, "net").end()
        port = telemetry.handles[0].url.rpartition(":")[2].partition("/")[0]  # type: ignore[attr-defined]
        yield f"https://localhost:{port}", files[0]


@pytest.mark.parametrize("by_variable", [True, False])
def test_https_with_an_authority_of_ones_own(
    secure: tuple[str, str], monkeypatch: pytest.MonkeyPatch, *, by_variable: bool
) -> None:
    """By the option, or by the variable that pushes have; without it nothing is read."""
    url, authority = secure
    assert "certificate verify failed" in problem(url)
    if by_variable:
        monkeypatch.setenv("OTEL_EXPORTER_PUSHGATEWAY_CERTIFICATE", authority)
    update = poll(source_of(url, None if by_variable else authority))
    assert samples(update)["gangplank_train_running"] == 0


def test_whatever_a_source_raises_is_a_problem() -> None:
    """A watch goes on."""

    class Broken:
        def read(self) -> list[Reading]:
            raise ZeroDivisionError

    class Silent:
        def read(self) -> list[Reading]:
            raise ReadingError("as it was said")

    assert poll(Broken()).problem == "what is there cannot be read (ZeroDivisionError)"
    assert poll(Silent()).problem == "as it was said"

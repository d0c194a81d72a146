"""``gangplank check``: what it shows, what it hides, what it finds wrong, and its exit status."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import pytest
from pushes import LOSS, NEVER
from realservers import Gateway as RealGateway
from realservers import free_port, get

from gangplank import ExportError, PrometheusExporter, PushgatewayExporter, Telemetry
from gangplank.commands import main
from gangplank.exporters.pushgateway import settings as push
from gangplank.exporters.pushgateway.exporter import push_settings
from gangplank.exporters.pushgateway.gateway import Gateway as GatewayToPush
from gangplank.exporters.pushgateway.groups import Group
from gangplank.testing import FakeGateway

SECRET = "hunter2"  # noqa: S105 - no secret of anybody's
P = "OTEL_EXPORTER_PUSHGATEWAY_"


class Always:
    """A function that returns the same, whatever it is called with."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __call__(self, *_: object) -> Any:
        """Return it."""
        return self._value


class Server:
    """A server that answers every GET as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.body: Callable[[BaseHTTPRequestHandler], bytes] = Always(b"")
        self.asked: list[tuple[str, str, str | None]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.address = f"127.0.0.1:{self._server.server_port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                server.asked.append((self.command, self.path, self.headers.get("Authorization")))
                body = server.body(self)
                self.send_response(server.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                pass

        return Handler

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that is no gateway, but can act as one."""
    with Server() as server:
        yield server


@pytest.fixture(autouse=True)
def _default_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing of this machine answer in place of what a test started."""
    for variable in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """A function that runs the command, and returns exit status and output."""

    def run(*arguments: str) -> tuple[int, str]:
        status = main(["check", *arguments])
        out, err = capsys.readouterr()
        assert err == ""
        return status, out

    return run


Check = Callable[..., tuple[int, str]]


def test_a_gateway_that_is_fine(check: Check, gateway: RealGateway) -> None:
    """Its version, and what it has of the job."""
    status, out = check("--gateway", gateway.address, "--job", "mnist")
    assert status == 0
    assert "WRONG" not in out
    assert re.search(rf"ok +http://{gateway.address} answers, Pushgateway \d+\.\d+", out)
    assert "it has nothing of the job 'mnist' yet" in out
    assert re.search(r"address +http://\S+ +\[(--gateway|argument)\]", out)
    exporter = PushgatewayExporter(gateway.address, "mnist", interval=NEVER, grouping_key={"team": 'a"b'})
    with Telemetry(exporters=[exporter]) as telemetry:
        telemetry.state.gauge(LOSS, model="net").set(0.5)
    status, out = check("--gateway", gateway.address, "--job", "mnist")
    assert status == 0
    assert re.search(r"group \{job='mnist', phase='train', team='a\"b'\}: last pushed 2\d{3}-", out)


def test_a_push_that_the_gateway_refused(check: Check, gateway: RealGateway) -> None:
    """Is seen there by whoever did not see the log of who pushed."""
    to = GatewayToPush(push_settings(gateway.address, "mnist"), "mnist")
    with pytest.raises(ExportError, match="400"):
        to.send(Group("", "PUT", (), b"# TYPE a gauge\na 1 1000\n"))  # a timestamp, which it does not take
    to.close()
    status, out = check("--gateway", gateway.address, "--job", "mnist")
    assert status == 1
    assert re.search(r"WRONG group \{job='mnist'\}: the last push, .*, was refused", out)


def test_settings_are_shown_with_their_sources(check: Check, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of variables, options and defaults; secrets are only said to be there."""
    monkeypatch.setenv(f"{P}ENDPOINT", server.address)
    monkeypatch.setenv(f"{P}GROUPING_KEY", "team=ml")
    monkeypatch.setenv(f"{P}INTERVAL", "2500")
    monkeypatch.setenv(f"{P}USERNAME", "me")
    monkeypatch.setenv(f"{P}PASSWORD", SECRET)
    monkeypatch.setenv(f"{P}HEADERS", f"X-Key={SECRET}")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    status, out = check()
    assert (status, SECRET in out) == (0, False)
    for line in (
        rf"address +http://{server.address} +\[{P}ENDPOINT\]",
        r"job +shop +\[OpenTelemetry's service name\]",
        rf"grouping_key +team='ml' +\[{P}GROUPING_KEY\]",
        rf"interval +2\.5 s +\[{P}INTERVAL\]",
        r"timeout +5 s +\[default\]",
        rf"username +me +\[{P}USERNAME\]",
        rf"password +\(set, not shown\) +\[{P}PASSWORD\]",
        rf"headers +\(set, not shown\) +\[{P}HEADERS\]",
    ):
        assert re.search(line, out), line
    assert {asked for _, _, asked in server.asked} == {"Basic bWU6aHVudGVyMg=="}
    assert {method for method, _, _ in server.asked} == {"GET"}


def test_a_user_in_the_address_is_said_to_come_from_there(
    check: Check, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not from a default, which there is none."""
    monkeypatch.setenv(f"{P}ENDPOINT", f"http://me:{SECRET}@{server.address}")
    status, out = check("--job", "mnist")
    assert (status, SECRET in out) == (0, False)
    assert server.asked[0][2] == "Basic bWU6aHVudGVyMg=="
    [line] = [line for line in out.splitlines() if line.strip().startswith("password")]
    assert "[default]" not in line


def test_a_token_in_place_of_a_user_is_not_shown(check: Check, server: Server) -> None:
    """As hosted gateways have it: ``https://token@host``."""
    _, out = check("--gateway", f"http://{SECRET}@{server.address}", "--job", "mnist", "--dry-run")
    assert SECRET not in out


def echo(handler: BaseHTTPRequestHandler) -> bytes:
    """Answer with what was asked, as debugging proxies do."""
    return str(handler.headers).encode()


@pytest.mark.parametrize("address", ["http://me:hunter2@{}", "{}"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 503, 302])
def test_a_gateway_that_says_no(
    check: Check, server: Server, monkeypatch: pytest.MonkeyPatch, status: int, address: str
) -> None:
    """It is wrong, what the status means is said, and what it repeats of the request is not shown."""
    server.status, server.body = status, echo
    if "@" not in address:
        monkeypatch.setenv(f"{P}BEARER_TOKEN", SECRET)
    found, out = check("--gateway", address.format(server.address), "--job", "mnist")
    assert found == 1
    [line] = [line for line in out.splitlines() if "WRONG" in line]
    assert f"answered {status}" in line
    assert SECRET not in out
    assert "bWU6aHVudGVyMg" not in out
    means = {401: "who is pushing", 403: "may not", 404: "is it a Pushgateway?"}
    assert means.get(status, "is it ready?") in line


GARBAGE = [
    b"",
    b"\xff\xfe\x00",
    b"<html>" * 1000,
    b'{"data": []}',
    b"[1]",
    b"push_time_seconds{job=",
    b'push_time_seconds{job="mnist"} x\n',
    b'push_time_seconds{job="mnist"} NaN\n',
    b'push_time_seconds{job="mnist"} 1e300\n',
    b'push_time_seconds{job="mnist"} +Inf\n',
    b'push_time_seconds{job="mnist"} -1e18\n',
    b"push_time_seconds 1 2 3 4\n",
    b"\x1b[2Jpush",
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_server_that_answers_nonsense(check: Check, server: Server, garbage: bytes) -> None:
    """Is no reason for a traceback."""
    server.body = Always(garbage)
    status, out = check("--gateway", server.address, "--job", "mnist")
    assert status in (0, 1)
    assert server.address in out
    assert "\x1b" not in out


def test_a_gateway_that_is_not_there(check: Check) -> None:
    """Is wrong, and says where it was looked for."""
    address = f"127.0.0.1:{free_port()}"
    status, out = check("--gateway", address, "--job", "mnist")
    assert status == 1
    assert re.search(rf"WRONG .*{address}.*refused", out)


def test_a_gateway_that_is_silent(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is given up on in the time that a push has."""
    monkeypatch.setenv(f"{P}TIMEOUT", "200")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        status, out = check("--gateway", f"127.0.0.1:{silent.getsockname()[1]}", "--job", "mnist")
    assert status == 1
    assert "did not answer within 0.2 s" in out


@pytest.mark.parametrize(
    ("environ", "arguments", "names"),
    [
        ({f"{P}INTERVAL": "soon"}, [], f"{P}INTERVAL"),
        ({f"{P}BEARER_TOKEN": f"{SECRET} {SECRET}"}, [], f"{P}BEARER_TOKEN"),
        ({f"{P}AT_END": "forget"}, ["--dry-run"], f"{P}AT_END"),
        ({f"{P}ENDPOINT": f"http://me:{SECRET}@host:port"}, [], f"{P}ENDPOINT"),
        ({f"{P}USERNAME": f"me:{SECRET}"}, [], f"{P}USERNAME"),
        ({"OTEL_METRICS_EXPORTER": "pushgateway", "OTEL_METRIC_EXPORT_INTERVAL": "x"}, [], "OTEL_METRIC_EXPORT"),
        ({}, ["--gateway", f"ftp://me:{SECRET}@host"], "--gateway"),
        ({}, ["--gateway", "localhost", "--job", " "], "--job"),
        ({}, ["--scrape", "local host"], "--scrape"),
        ({"OTEL_EXPORTER_PROMETHEUS_PORT": "http"}, [], "OTEL_EXPORTER_PROMETHEUS_PORT"),
        ({"OTEL_EXPORTER_PROMETHEUS_PORT": "65536"}, [], "OTEL_EXPORTER_PROMETHEUS_PORT"),
        ({"OTEL_EXPORTER_PROMETHEUS_HOST": "a b"}, [], "OTEL_EXPORTER_PROMETHEUS_HOST"),
    ],
)
def test_a_value_that_is_not_allowed_has_a_status_of_its_own(
    check: Check, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], arguments: list[str], names: str
) -> None:
    """The variable or the option is named as whoever typed it knows it, and nothing secret is shown."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    status, out = check(*arguments)
    assert status == 2
    assert SECRET not in out
    [line] = [line for line in out.splitlines() if "WRONG" in line]
    assert names in line


REQUEST = re.compile(r"^  (PUT|POST|DELETE) (http\S+)$", re.MULTILINE)


def test_a_dry_run_sends_nothing(check: Check, fake_gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows methods, addresses, headers and bodies, and of secrets that they are there."""
    monkeypatch.setenv(f"{P}GROUPING_KEY", "team=a/b")
    monkeypatch.setenv(f"{P}COMPRESSION", "gzip")
    monkeypatch.setenv(f"{P}AT_END", "delete")
    monkeypatch.setenv(f"{P}DELETE_DELAY", "3600000")
    monkeypatch.setenv(f"{P}HANDLE_SIGTERM", "true")
    monkeypatch.setenv(f"{P}HEADERS", f"X-Key={SECRET}")
    monkeypatch.setenv(f"{P}BEARER_TOKEN", SECRET)
    _, out = check("--gateway", fake_gateway.address, "--job", "mnist", "--dry-run")
    base = f"http://{fake_gateway.address}/metrics/job/mnist"
    key = "team@base64/YS9i"
    assert REQUEST.findall(out)[:3] == [
        ("PUT", f"{base}/phase/train/{key}"),
        ("POST", f"{base}/model/example/{key}"),
        ("POST", f"{base}/{key}"),
    ]
    assert {method for method, _ in REQUEST.findall(out)[3:]} == {"DELETE"}
    assert 'gangplank_train_loss{model="example"} 0.5' in out
    assert "gangplank_export_pushes_total" in out
    assert "X-Key: (not shown)" in out
    assert "Authorization: (not shown)" in out
    assert "Content-Encoding: gzip" in out
    assert SECRET not in out
    assert fake_gateway.requests == []


def test_a_dry_run_needs_no_gateway_and_no_job(check: Check) -> None:
    """That there is none is wrong all the same."""
    status, out = check("--gateway", f"127.0.0.1:{free_port()}", "--dry-run")
    assert status == 1
    assert "no job" in out
    assert "/metrics/job/example/phase/train" in out


def test_a_dry_run_leaves_the_processs_own_provider_alone(script: Any, fake_gateway: FakeGateway) -> None:
    """As opentelemetry-instrument sets one up: example values must not be pushed, or scraped, through it."""
    ended = script(
        """
        import sys
        from opentelemetry import metrics
        from opentelemetry.sdk.metrics import MeterProvider
        from gangplank import PushgatewayMetricReader
        from gangplank.commands import main
        reader = PushgatewayMetricReader(sys.argv[1], "mnist", interval=3600)
        metrics.set_meter_provider(MeterProvider([reader]))
        main(["check", "--gateway", sys.argv[1], "--job", "mnist", "--dry-run"])
        """,
        fake_gateway.address,
    )
    assert ended.returncode == 0
    assert "gangplank_train_loss" in ended.stdout
    assert fake_gateway.requests == []


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
def test_a_scrape_endpoint_that_is_none(check: Check, server: Server, status: int, body: bytes) -> None:
    """Something answers there, and it is said what."""
    server.status, server.body = status, Always(body)
    found, out = check("--scrape", server.address)
    assert found == 1
    [line] = [line for line in out.splitlines() if "WRONG" in line]
    assert "not with metrics" in line if status == 200 else str(status) in line


def test_what_a_scrape_endpoint_wants_to_know_is_not_shown(check: Check, server: Server) -> None:
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
    assert "timed out" in out


EXPORTERS = [("pushgateway", 0), (" pushgateway , console", 0), ("pushgate", 1), ("none", 0), ("PUSHGATEWAY", 1)]


@pytest.mark.parametrize(("names", "status"), EXPORTERS)
def test_exporters_that_the_sdk_is_told_to_use(
    check: Check, gateway: RealGateway, monkeypatch: pytest.MonkeyPatch, names: str, status: int
) -> None:
    """A name that no package has is wrong, and those that there are are listed."""
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", names)
    found, out = check("--gateway", gateway.address, "--job", "mnist")
    assert found == status
    if status:
        assert f"no installed package has {names!r}" in out
        assert "pushgateway" in out.split("there are")[1]
    if names == "pushgateway":
        assert re.search(r"interval +60 s +\[default\]", out)


def test_an_sdk_that_is_disabled(check: Check, gateway: RealGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports nothing, whatever else is right."""
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "pushgateway")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "True")
    status, out = check("--gateway", gateway.address, "--job", "mnist")
    assert status == 1
    assert re.search(r"WRONG OTEL_SDK_DISABLED is true", out)


def in_process(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-W", "error", "-m", "gangplank", *arguments]
    return subprocess.run(
        command, env={**os.environ, **environ}, capture_output=True, text=True, timeout=60, check=False
    )


def test_as_a_program(gateway: RealGateway) -> None:
    """With its exit status, and nothing on standard error."""
    ended = in_process("check", "--gateway", gateway.address, "--job", "mnist", "--dry-run")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert 'gangplank_train_loss{model="example"} 0.5' in ended.stdout
    assert "gangplank_train_loss" not in get(f"{gateway.url}/metrics")
    assert in_process("check", **{f"{P}METHOD": "GET"}).returncode == 2
    assert in_process().returncode == 2
    assert "Exit status" in in_process("check", "--help").stdout


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_terminal_that_cannot_show_everything(gateway: RealGateway, encoding: str) -> None:
    """Is no reason for a traceback."""
    environ = {f"{P}GROUPING_KEY": "team=日本", "PYTHONIOENCODING": encoding, f"{P}JOB": "café"}
    ended = in_process("check", "--gateway", gateway.address, "--dry-run", **environ)
    assert (ended.returncode, ended.stderr) == (0, "")


def defaults(monkeypatch: pytest.MonkeyPatch, gateway: str, scrape: str) -> None:
    """Have what is by default be elsewhere, where nothing of this machine answers."""

    def resolve(given: dict[str, Any], **others: Any) -> push.Settings:
        others["defaults"] = {**others["defaults"], "address": gateway}
        return push.resolve(given, **others)

    monkeypatch.setattr("gangplank.commands.pushing.resolve", resolve)
    monkeypatch.setattr("gangplank.commands.scraping._url", Always(f"http://{scrape}/metrics"))


def test_nothing_is_configured(check: Check, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
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
    check: Check, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who pushes is not helped by a scrape endpoint that answers, nor is that looked for."""
    defaults(monkeypatch, f"127.0.0.1:{free_port()}", server.address)
    monkeypatch.setenv(f"{P}JOB", "mnist")
    status, out = check()
    assert status == 1
    assert "Scrape endpoint" not in out
    assert server.asked == []

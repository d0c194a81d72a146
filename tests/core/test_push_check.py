"""``gangplank check``: what it shows, what it hides, what it finds wrong, and its exit status."""

from __future__ import annotations

import re
import socket
from http.server import BaseHTTPRequestHandler

import pytest
from checking import Always, Check, Server
from pushes import LOSS, NEVER
from pushsettings import PREFIX as P
from pushsettings import SECRET
from realservers import Gateway as RealGateway
from realservers import free_port

from gangplank import ExportError, PushgatewayExporter, Telemetry
from gangplank.exporters.pushgateway.exporter import push_settings
from gangplank.exporters.pushgateway.gateway import Gateway as GatewayToPush
from gangplank.exporters.pushgateway.groups import Group

pytestmark = pytest.mark.usefixtures("_one_process")


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


@pytest.mark.parametrize(
    ("address", "environ", "said"),
    [
        (f"http://{'a' * 70}.com", {}, "label empty or too long"),
        ("https://localhost:1", {"REQUESTS_CA_BUNDLE": "/nonexistent"}, "/nonexistent"),
    ],
)
def test_what_cannot_even_be_asked(
    check: Check, monkeypatch: pytest.MonkeyPatch, address: str, environ: dict[str, str], said: str
) -> None:
    """Is wrong, and it is said why."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    status, out = check("--gateway", address, "--job", "mnist")
    assert status == 1
    [line] = [line for line in out.splitlines() if "WRONG" in line]
    assert said in line


def test_a_reader_without_a_job(check: Check, gateway: RealGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pushes under a name that others have, too."""
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "pushgateway")
    assert "unknown_service" in check("--gateway", gateway.url)[1]

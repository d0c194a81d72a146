"""What goes over the wire, by which way and to whom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from faults import Fault, answering, dripping
from faultserver import EXITS, Exit, Server, good, newest
from prometheus_client.exposition import basic_auth_handler, default_handler
from pushes import BASE, NEVER, SECRET, TRAIN, basic
from realservers import free_port, wait_for

from gangplank import ConfigurationError, ExportError, PushgatewayExporter

ODD = "p@ss/wörd%3A"


def push(kind: str, address: str, **settings: Any) -> bool:
    """Push a loss, and return whether it was accepted."""
    settings.setdefault("timeout", 5)
    pushing = Exit(kind, address, interval=NEVER, **settings)
    pushing.write(0.5)
    try:
        return pushing.flush()
    finally:
        pushing.close()


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize(
    ("userinfo", "settings", "sent"),
    [
        (f"user:{SECRET}@", {}, basic("user", SECRET)),
        ("us%2Fer:p%40ss%2Fw%C3%B6rd%253A@", {}, basic("us/er", ODD)),
        ("user@", {}, basic("user", "")),
        ("", {"username": "user", "password": ODD}, basic("user", ODD)),
        ("", {"username": "user", "password": ""}, basic("user", "")),
        ("", {"bearer_token": f"{SECRET}\n"}, f"Bearer {SECRET}"),
        ("", {"headers": {"authorization": f"Custom {SECRET}"}}, f"Custom {SECRET}"),
        ("", {}, None),
    ],
)
def test_who_is_pushing(
    kind: str,
    userinfo: str,
    settings: dict[str, Any],
    sent: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the settings say, in every request; the reader's own file of passwords has no say."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with good(tmp_path) as server:
        assert push(kind, f"http://{userinfo}127.0.0.1:{server.port}", **settings)
    assert {request.headers.get("Authorization") for request in server.requests} == {sent}
    assert {request.path for request in server.requests} == {TRAIN, BASE}


@pytest.mark.parametrize("kind", EXITS)
def test_more_headers(kind: str, tmp_path: Path) -> None:
    """Beside those that depend on what is sent, and beside a token."""
    headers = {"X-Scope-OrgID": "team", "X-Empty": ""}
    with good(tmp_path) as server:
        assert push(kind, server.url, headers=headers, bearer_token=SECRET)
    for request in server.requests:
        assert (request.headers["X-Scope-Orgid"], request.headers["X-Empty"]) == ("team", "")
        assert request.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert request.headers["Authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("kind", EXITS)
def test_compression(kind: str, tmp_path: Path) -> None:
    """Unpacked, it is what would have been sent without."""
    with good(tmp_path) as server:
        assert push(kind, server.url, compression="gzip")
        assert push(kind, server.url)
    packed, plain = (request for request in server.requests if request.path == TRAIN)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.body == plain.body != ""


@pytest.mark.parametrize("kind", EXITS)
def test_an_authority_of_ones_own(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is trusted where it is given, whoever else the environment trusts; nobody is without."""
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(str(stranger))
    with good(tmp_path, tls="trusted") as server:
        assert not push(kind, server.url)
        for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.setenv(variable, str(stranger))
            assert not push(kind, server.url)
            assert push(kind, server.url, **server.settings)
            monkeypatch.setenv(variable, server.settings["certificate"])
            assert push(kind, server.url)  # as everything that goes by requests
            assert not push(kind, server.url, certificate=stranger)
            monkeypatch.delenv(variable)


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize("in_one_file", [True, False])
def test_a_server_that_wants_a_certificate(kind: str, in_one_file: bool, tmp_path: Path) -> None:
    """It gets the client's; without one, or with a stranger's, nothing is delivered."""
    with good(tmp_path, tls="trusted") as server:
        assert server.tls is not None
        server.authority.configure_trust(server.tls)
        server.tls.verify_mode = server.tls.verify_mode.CERT_REQUIRED
        for authority, is_known in ((server.authority, True), (trustme.CA(), False)):
            certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
            made = authority.issue_cert("client@example.org")
            made.private_key_and_cert_chain_pem.write_to_path(str(certificate))
            made.private_key_pem.write_to_path(str(key))
            keys = {} if in_one_file else {"client_key": key}
            settings = {**server.settings, "client_certificate": certificate, **keys}
            assert push(kind, server.url, **settings) == is_known
        delivered = len(server.requests)
        assert not push(kind, server.url, **server.settings)
        assert len(server.requests) == delivered


@pytest.mark.parametrize("kind", EXITS)
def test_a_proxy(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that the environment names gets everything, with the gateway's password beside its own."""
    with good(tmp_path) as proxy, good(tmp_path) as gateway:
        monkeypatch.setenv("http_proxy", f"http://me:mine@127.0.0.1:{proxy.port}")
        assert push(kind, f"http://user:{SECRET}@gateway.invalid:9091")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert push(kind, gateway.url)
    assert {request.path for request in proxy.requests} == {
        f"http://gateway.invalid:9091{path}" for path in (TRAIN, BASE)
    }
    assert {request.headers["Proxy-Authorization"] for request in proxy.requests} == {basic("me", "mine")}
    assert {request.headers["Authorization"] for request in proxy.requests} == {basic("user", SECRET)}
    assert {request.path for request in gateway.requests} == {TRAIN, BASE}


def test_a_proxy_that_drips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tunnel through it is part of the push, and bounded with it."""
    with Server(Fault(dripping(b"HTTP/1.1 200 OK\r\nX-Long: ")), tmp_path) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        pushing = Exit("exporter", "https://gateway.invalid:9091", interval=NEVER, timeout=0.5)
        pushing.write(0.5)
        assert not pushing.flush(timeout=10)
        assert pushing.pushes("failure") >= 1
        assert proxy.visits
        pushing.close(timeout=1)
        proxy.mend()
        wait_for(lambda: not pushing.is_pushing())


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_gets_nothing(kind: str, code: int, tmp_path: Path) -> None:
    """Neither the credentials nor the metrics go where a gateway points."""
    with good(tmp_path) as elsewhere:
        answer = b"HTTP/1.1 %d Moved\r\nLocation: %s/x\r\nContent-Length: 0\r\n\r\n" % (code, elsewhere.url.encode())
        with Server(Fault(answering(answer)), tmp_path) as server:
            assert not push(kind, server.url, bearer_token=SECRET)
            server.mend()
        assert elsewhere.connections == 0


@pytest.mark.parametrize("location", ["http://[::1", "//", "http://:@:99999999/", "\xff"])
def test_a_redirect_to_nowhere(location: str, tmp_path: Path) -> None:
    """It is the status that counts, and is said."""
    answer = f"HTTP/1.1 302 Moved\r\nLocation: {location}\r\nContent-Length: 5\r\n\r\nsorry".encode("latin-1")
    with Server(Fault(answering(answer)), tmp_path) as server:
        pushing = Exit("exporter", server.url, interval=NEVER, timeout=5)
        pushing.write(0.5)
        with pytest.raises(ExportError, match="answered 302: sorry"):
            pushing.telemetry.flush()
        server.mend()
        pushing.close()


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize("tls", ["", "trusted"])
def test_one_connection(kind: str, tls: str, tmp_path: Path) -> None:
    """Serves all pushes of an exit."""
    with good(tmp_path, tls) as server:
        pushing = Exit(kind, server.url, interval=NEVER, **server.settings)
        for number in range(5):
            pushing.write(number)
            assert pushing.flush()
        pushing.close()
        assert newest(server) == "4.0"
        assert server.connections == 1


def test_a_handler_of_the_users_own(tmp_path: Path) -> None:
    """It is called as prometheus_client calls it, by these names, and what it returns is called without."""
    calls: list[dict[str, Any]] = []

    def handler(**given: Any) -> Callable[[], None]:
        calls.append(given)
        return default_handler(**given)

    with good(tmp_path) as server:
        assert push("exporter", server.url, handler=handler, timeout=3)
    assert [set(call) for call in calls] == [{"url", "method", "timeout", "headers", "data"}] * 2
    train, base = calls
    assert (train["url"], train["method"], train["timeout"]) == (f"{server.url}{TRAIN}", "PUT", 3)
    assert (base["url"], base["method"]) == (f"{server.url}{BASE}", "POST")
    assert [name for name, _ in train["headers"]] == ["Content-Type"]
    assert train["data"].decode() == server.of(TRAIN)[0]


def test_the_handler_that_authenticates(tmp_path: Path) -> None:
    """That of prometheus_client, as its documentation has it used."""

    def handler(url: str, method: str, timeout: float | None, headers: Any, data: bytes) -> Callable[[], None]:
        return basic_auth_handler(url, method, timeout, headers, data, "user", SECRET)

    with good(tmp_path) as server:
        assert push("exporter", server.url, handler=handler)
    assert {request.headers["Authorization"] for request in server.requests} == {basic("user", SECRET)}


@pytest.mark.parametrize(
    "settings",
    [{"headers": {"X-Scope-OrgID": "team"}}, {"bearer_token": SECRET}, {"username": "user", "password": SECRET}],
)
def test_what_a_handler_would_not_hear_of_is_not_dropped_silently(settings: dict[str, Any]) -> None:
    """Settings of the HTTP that the user's handler does are given to it, or refused."""
    heard: list[str] = []

    def handler(*, headers: list[tuple[str, str]], **_: Any) -> Callable[[], None]:
        heard.extend(name for name, _ in headers)
        return lambda: None

    try:
        PushgatewayExporter("localhost", "mnist", handler=handler, **settings)
    except ConfigurationError:
        return
    push("exporter", f"127.0.0.1:{free_port()}", handler=handler, **settings)
    assert {"X-Scope-OrgID", "Authorization"} & set(heard)


def test_a_handler_that_exits_is_a_failure_like_any_other(caplog: pytest.LogCaptureFixture) -> None:
    """Its SystemExit ends neither the program nor, unsaid, all later pushes."""
    calls: list[str] = []

    def handler(*, url: str, **_: Any) -> Callable[[], None]:
        calls.append(url)
        raise SystemExit(3)

    pushing = Exit("exporter", "localhost", interval=NEVER, handler=handler)
    pushing.write(0.5)
    assert not pushing.flush(timeout=3)
    pushing.write(0.25)
    assert not pushing.flush(timeout=3)
    assert len(calls) >= 2
    assert "SystemExit" in caplog.text
    pushing.close()

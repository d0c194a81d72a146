"""What a gateway or a proxy repeats of a request is in no log and no error as far as it is secret."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults import Fault, Visit, answering, status
from faultserver import Exit, Server
from pushes import NEVER, SECRET, TRAIN, basic
from realservers import wait_for

from gangplank import ExportError


def echoing(code: int, padding: int = 0) -> Callable[[Visit], None]:
    """Return what says no, and repeats the headers that it got."""

    def behave(visit: Visit) -> None:
        while not visit.over.is_set() and (request := visit.request()) is not None:
            said = "".join(
                f"{name}: {value}\n" for name, value in request.headers.items() if "uth" in name or "X-" in name
            )
            visit.say(status(code, b"." * padding + said.encode()))

    return behave


def seen(address: str, caplog: pytest.LogCaptureFixture, **settings: Any) -> str:
    """Push in vain, and return all that can be seen of it."""
    pushing = Exit("exporter", address, interval=NEVER, timeout=5, **settings)
    with caplog.at_level(logging.DEBUG):
        pushing.write(0.5)
        with pytest.raises(ExportError) as caught:
            pushing.telemetry.flush()
        pushing.close(timeout=1)
        wait_for(lambda: not pushing.is_pushing())
    shown = [*traceback.format_exception(caught.value), repr(caught.value), repr(pushing.telemetry.handles)]
    shown += [record.getMessage() for record in caplog.records]
    return "\n".join(shown)


SECRETS: list[tuple[str, dict[str, Any]]] = [
    (f"user:{SECRET}@", {}),
    ("", {"username": "user", "password": SECRET}),
    ("", {"bearer_token": SECRET}),
    ("", {"headers": {"X-Api-Key": SECRET}}),
]


@pytest.mark.parametrize(("userinfo", "settings"), SECRETS)
@pytest.mark.parametrize("code", [400, 401, 503])
def test_a_secret_that_is_said_back(
    userinfo: str, settings: dict[str, Any], code: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is in no log and no error, in the form in which it was sent neither."""
    with Server(Fault(echoing(code)), tmp_path) as server:
        shown = seen(f"http://{userinfo}127.0.0.1:{server.port}", caplog, **settings)
        server.mend()
    assert f"answered {code}" in shown
    assert SECRET not in shown
    assert basic("user", SECRET).removeprefix("Basic ") not in shown


@pytest.mark.parametrize("padding", range(480, 500, 5))
def test_half_a_secret_is_not_said_either(padding: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An answer is cut somewhere, and what is left of a secret there is to be hidden too."""
    with Server(Fault(echoing(400, padding - len("X-Api-Key: "))), tmp_path) as server:
        shown = seen(server.url, caplog, headers={"X-Api-Key": SECRET})
        server.mend()
    assert "answered 400" in shown
    assert "X-Api-Key: h" not in shown


def test_a_proxys_secret_that_is_said_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password of a proxy is somebody's, too."""
    with Server(Fault(echoing(407)), tmp_path) as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:{SECRET}@127.0.0.1:{proxy.port}")
        shown = seen("http://gateway.invalid:9091", caplog)
        proxy.mend()
    assert SECRET not in shown
    assert basic("user", SECRET).removeprefix("Basic ") not in shown


def test_a_short_header_leaves_an_error_readable(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A tenant's number is no reason to hide half of the address."""
    with Server(Fault(answering(status(503))), tmp_path) as server:
        shown = seen(server.url, caplog, headers={"X-Scope-OrgID": "1", "X-Other": "0"})
        server.mend()
    assert f"{server.url}{TRAIN} answered 503" in shown

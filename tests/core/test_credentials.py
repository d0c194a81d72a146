"""A password in a gateway's address goes to the gateway, and nowhere else."""

from __future__ import annotations

import base64
import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.exposition import default_handler
from realservers import free_port

from gangplank import ExportError, PushgatewayExporter, Telemetry
from gangplank.catalogue import model_metric
from gangplank.metrics import Phase
from gangplank.testing import FakeGateway

LOSS = model_metric(Phase.TRAIN, "loss")
SECRET = "hunter2"  # noqa: S105 - no secret of anybody's


def raising_handler(*, url: str, **_: Any) -> Callable[[], None]:
    """A user's handler whose errors quote the address, as those of many clients do."""

    def send() -> None:
        raise RuntimeError(f"cannot reach {url}")

    return send


def leaks(address: str, caplog: pytest.LogCaptureFixture, **settings: Any) -> str:
    """Push to ``address``, which must fail, and return everything that could be seen of it."""
    exporter = PushgatewayExporter(address, "mnist", **settings)
    telemetry = Telemetry(exporters=[exporter])
    with caplog.at_level(logging.DEBUG):
        telemetry.start()
        telemetry.state.gauge(LOSS, model="net").set(0.5)
        with pytest.raises(ExportError) as caught:
            telemetry.flush(timeout=30)
        telemetry.close()
    assert caplog.records
    seen = [repr(exporter), str(caught.value), repr(caught.value)]
    seen += traceback.format_exception(caught.value)
    seen += [record.getMessage() for record in caplog.records]
    seen += [str(record.exc_info) for record in caplog.records if record.exc_info]
    seen += [str(telemetry.state.read())]
    return "\n".join(seen)


@pytest.mark.parametrize("settings", [{}, {"handler": default_handler}, {"handler": raising_handler}])
def test_a_refused_connection(caplog: pytest.LogCaptureFixture, settings: dict[str, Any]) -> None:
    """Whatever does the HTTP."""
    address = f"http://user:{SECRET}@127.0.0.1:{free_port()}"
    assert SECRET not in leaks(address, caplog, **settings)


def test_an_address_that_a_users_handler_cannot_read(caplog: pytest.LogCaptureFixture) -> None:
    """The standard library's client takes the password for a port, and quotes it."""
    assert SECRET not in leaks(f"http://user:{SECRET}@127.0.0.1", caplog, handler=default_handler)


@pytest.mark.parametrize("status", [301, 401, 500])
def test_a_gateway_that_says_no(fake_gateway: FakeGateway, caplog: pytest.LogCaptureFixture, status: int) -> None:
    """The address is shown, as that helps, and the password is not."""
    fake_gateway.status = status
    seen = leaks(f"http://user:{SECRET}@{fake_gateway.address}", caplog)
    assert SECRET not in seen
    assert f"http://{fake_gateway.address}" in seen
    assert str(status) in seen


@pytest.mark.parametrize(
    "address",
    [
        f"http://u:{SECRET}@nonexistent.invalid:9091",
        f"u:{SECRET}@nonexistent.invalid:9091",
        f"http://{SECRET}@nonexistent.invalid",
        f"http://u:{SECRET}%40%2F@nonexistent.invalid:9091",
        f"http://u:{SECRET}@{'x' * 70}.invalid:9091",
    ],
)
def test_a_host_that_is_not_there(caplog: pytest.LogCaptureFixture, address: str) -> None:
    """Nor when the name cannot be resolved, or is no name at all."""
    assert SECRET not in leaks(address, caplog)


def test_a_proxy_that_is_not_there(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password of the proxy's is as secret as the gateway's."""
    monkeypatch.setenv("http_proxy", f"http://user:{SECRET}@127.0.0.1:{free_port()}")
    assert SECRET not in leaks("http://gateway.invalid:9091", caplog)


def test_the_gateway_is_given_the_password(fake_gateway: FakeGateway) -> None:
    """As basic authentication, and not in the path."""
    exporter = PushgatewayExporter(f"user:{SECRET}@{fake_gateway.address}", "mnist")
    with Telemetry(exporters=[exporter]) as telemetry:
        telemetry.state.gauge(LOSS, model="net").set(0.5)
    for request in fake_gateway.requests:
        scheme, _, sent = request.headers["Authorization"].partition(" ")
        assert (scheme, base64.b64decode(sent).decode()) == ("Basic", f"user:{SECRET}")
        assert SECRET not in request.path + request.body
    assert fake_gateway.requests

"""Settings that are secret: no error and no repr has them, and who is pushing is said in one way."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from pushsettings import SECRET, settings, variable

from gangplank import ConfigurationError, PushgatewayExporter, PushgatewayMetricReader

pytestmark = pytest.mark.usefixtures("_one_process")

SECRETS: list[dict[str, Any]] = [
    {"username": ("me", SECRET)},
    {"bearer_token": f"{SECRET} {SECRET}"},
    {"bearer_token": f"{SECRET}\u00e9"},
    {"bearer_token": [SECRET]},
    {"password": SECRET.encode(), "username": "me"},
    {"password": SECRET},
    {"username": f"me:{SECRET}", "password": SECRET},
    {"headers": {"X-Key": f"{SECRET}\n"}},
    {"headers": {"X-Key": SECRET.encode()}},
    {"headers": SECRET},
    {"headers": {"X-Key": f" {SECRET}"}},
    {"headers": {"Host": SECRET}},
    {"headers": {"Authorization": SECRET}, "bearer_token": SECRET},
    {"address": f"http://me:{SECRET}@host:port"},
    {"address": f"http://me:{SECRET}/@host"},
    {"address": f"http://me:{SECRET}@host?{SECRET}"},
    {"address": f"ftp://me:{SECRET}@host"},
    {"address": f"me:{SECRET} @host"},
    {"address": [f"http://me:{SECRET}@host"]},
    {"address": f"http://me:{SECRET}@host", "bearer_token": SECRET},
    {"address": f"http://me:{SECRET}@host", "username": "me", "password": SECRET},
]


@pytest.mark.parametrize("given", SECRETS)
def test_errors_do_not_repeat_secrets(given: dict[str, Any]) -> None:
    """A user mistypes what is secret as often as anything else, and the error is in the log."""
    with pytest.raises((ConfigurationError, TypeError)) as caught:
        settings(**given)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert any(name in str(caught.value) for name in given)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bearer_token", f"{SECRET} x"),
        ("headers", f"X-Key:{SECRET}"),
        ("headers", f"X-Key=a,{SECRET}"),
        ("headers", f"X-Key={SECRET}%0a"),
        ("password", SECRET),
        ("username", f"me:{SECRET}"),
        ("address", f"http://me:{SECRET}@host:port"),
    ],
)
def test_errors_do_not_repeat_secret_variables(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """Nor what stands in the environment."""
    monkeypatch.setenv(variable(name), text)
    with pytest.raises(ConfigurationError, match=f"^{variable(name)}") as caught:
        settings()
    assert SECRET not in str(caught.value)


def test_reprs_hide_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the settings, the exporter and the reader: user, password, token and headers."""
    address = f"https://{SECRET}:{SECRET}@127.0.0.1:1/sub"
    with_header = settings(address="127.0.0.1:1", headers={"X-Key": SECRET}, bearer_token=SECRET)
    reader = PushgatewayMetricReader(address, "mnist", interval=3600, timeout=0.1)
    monkeypatch.setenv(variable("password"), SECRET)
    monkeypatch.setenv(variable("username"), SECRET)
    seen = [settings(), settings(address=address), with_header, PushgatewayExporter(address, "mnist"), reader]
    reader.shutdown()
    assert SECRET not in "".join(map(repr, seen)) + "".join(map(str, seen))
    assert "https://127.0.0.1:1/sub" in repr(reader)
    assert repr(PushgatewayExporter(address, "mnist")).endswith("(job 'mnist')>")


def test_redacted_hides_every_form_of_a_secret() -> None:
    """As it stands in the address, as it is meant, and as it goes out."""
    found = settings(address=f"https://me:{SECRET}%40{SECRET}@host")
    encoded = base64.b64encode(f"me:{SECRET}@{SECRET}".encode()).decode()
    for form in (f"me:{SECRET}%40{SECRET}", f"{SECRET}@{SECRET}", f"Basic {encoded}"):
        message = found.redacted(f"it said: {form}\n!")
        assert encoded not in message
        assert SECRET not in message
        assert message.startswith("it said: ")
        assert "\n" not in message


AMBIGUOUS: list[dict[str, Any]] = [
    {"username": "me", "password": SECRET, "bearer_token": "t"},
    {"address": "http://me@host", "bearer_token": "t"},
    {"address": "http://me:x@host", "headers": {"authorization": "Basic x"}},
    {"bearer_token": "t", "headers": {"AUTHORIZATION": "Basic x"}},
    {"username": "me", "password": "x", "headers": {"Authorization": "Basic x"}},
]


@pytest.mark.parametrize("given", AMBIGUOUS)
def test_two_ways_to_say_who_is_pushing(given: dict[str, Any]) -> None:
    """Which of them the gateway would see is nobody's guess."""
    with pytest.raises(ConfigurationError, match="one of them must go"):
        settings(**given)


def test_a_user_in_the_code_is_not_mixed_with_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    """The password of somebody else would go to whom the code names."""
    monkeypatch.setenv(variable("username"), "other")
    monkeypatch.setenv(variable("password"), SECRET)
    found = settings()
    assert (found.username, found.password) == ("other", SECRET)
    assert (settings(bearer_token="t").username, settings(bearer_token="t").password) == (None, None)  # noqa: S106
    assert settings(address="http://me:a%40b@host").username == "me"
    assert settings(address="http://me:a%40b@host").password == "a@b"  # noqa: S105
    assert settings(username="me", password="").password == ""


@pytest.mark.parametrize("name", ["username", "password"])
def test_half_of_a_user_is_told_what_helps(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Not to set a variable that is set, and not looked at."""
    monkeypatch.setenv(variable("username"), "other")
    monkeypatch.setenv(variable("password"), SECRET)
    with pytest.raises(ConfigurationError, match=f"^{name}") as caught:
        settings(**{name: "me"})
    assert "or its environment variable" not in str(caught.value)

"""Settings of the push exits: from argument, variable or default; errors name which."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest
from pushsettings import PREFIX, settings, variable

from gangplank import ConfigurationError, PushgatewayExporter, PushgatewayMetricReader, environment_variables
from gangplank.exporters.pushgateway.settings import PushSettings, resolve
from gangplank.exporters.pushgateway.table import OF_READER, SETTINGS
from gangplank.settings import DEFAULT

pytestmark = pytest.mark.usefixtures("_one_process")

SIMPLE: list[tuple[str, Any, str, Any]] = [
    ("address", "http://here:1", "http://there:2/path/", "http://there:2/path"),
    ("job", "here", "there", "there"),
    ("grouping_key", {"team": "here"}, " team = a=b , dc=x%2Cy ,", {"team": "a=b", "dc": "x,y"}),
    ("method", "PUT", "post", "POST"),
    ("interval", 3, "1500", 1.5),
    ("timeout", 2.5, "250.5", 0.2505),
    ("bearer_token", "here", "there\n", "there"),
    ("headers", {"X-Org": "here"}, "X-Org=a%20b,X-Other=", {"X-Org": "a b", "X-Other": ""}),
    ("compression", "none", "GZIP", "gzip"),
    ("at_end", "keep", " Delete ", "delete"),
    ("handle_sigterm", False, "True", True),
]
"""Name, argument, text of the variable, and what that text means."""


@pytest.mark.parametrize(("name", "argument", "text", "meant"), SIMPLE)
def test_argument_before_variable_before_default(
    monkeypatch: pytest.MonkeyPatch, name: str, argument: Any, text: str, meant: Any
) -> None:
    """For each setting; an argument of None and an empty variable are none."""
    monkeypatch.setenv(variable(name), "  ")
    assert resolve({name: None}).sources[name] == DEFAULT
    monkeypatch.setenv(variable(name), text)
    found = resolve({name: None})
    assert (getattr(found, name), found.sources[name]) == (meant, variable(name))
    found = resolve({name: argument})
    assert (getattr(found, name), found.sources[name]) == (argument, "argument")


def test_defaults() -> None:
    """As the documentation has them: in seconds, and of no secret at all."""
    found = settings()
    assert (found.address, found.method, found.interval, found.timeout) == ("http://localhost:9091", "PUT", 15, 5)
    assert (found.compression, found.at_end, found.delete_delay, found.handle_sigterm) == ("none", "keep", 0, False)
    assert (found.grouping_key, found.headers, found.username, found.bearer_token) == ({}, {}, None, None)
    assert set(found.sources) == {setting.name for setting in SETTINGS}
    assert set(found.sources.values()) == {DEFAULT, "argument"}  # the job was given
    assert resolve({}, **OF_READER).interval == 60


def test_variables_are_those_of_the_table() -> None:
    """The module that opentelemetry-instrument makes flags of, the table and the typed arguments say the same."""
    named = {name: value for name, value in vars(environment_variables).items() if name.startswith("OTEL_")}
    assert all(name == value for name, value in named.items())
    assert {name for name in named if name.startswith(PREFIX)} == {setting.variable for setting in SETTINGS}
    assert PushSettings.__annotations__.keys() | {"address", "job"} == {setting.name for setting in SETTINGS}
    entries = importlib.metadata.entry_points(group="opentelemetry_environment_variables", name="gangplank")
    assert [entry.load() for entry in entries] == [environment_variables]
    readers = importlib.metadata.entry_points(group="opentelemetry_metrics_exporter", name="pushgateway")
    assert [entry.load() for entry in readers] == [PushgatewayMetricReader]


BAD: list[tuple[str, Any, type[Exception]]] = [
    ("address", b"localhost", TypeError),
    ("address", "ftp://host", ConfigurationError),
    ("job", " ", ConfigurationError),
    ("job", "\ud800", ConfigurationError),
    ("grouping_key", {1: "a"}, TypeError),
    ("grouping_key", {"": "a"}, ConfigurationError),
    ("grouping_key", {"__a": "a"}, ConfigurationError),
    ("grouping_key", {"a-b": "a"}, ConfigurationError),
    ("grouping_key", {"1a": "a"}, ConfigurationError),
    ("grouping_key", {"ä": "a"}, ConfigurationError),
    ("grouping_key", {"a\n": "a"}, ConfigurationError),
    ("grouping_key", {"le": "a"}, ConfigurationError),
    ("grouping_key", {"quantile": "a"}, ConfigurationError),
    ("grouping_key", {"outcome": "a"}, ConfigurationError),
    ("grouping_key", {"instance": None}, TypeError),
    ("grouping_key", {"instance": "\udcff"}, ConfigurationError),
    ("method", "PATCH", ConfigurationError),
    ("method", 1, TypeError),
    ("interval", float("nan"), ConfigurationError),
    ("interval", float("inf"), ConfigurationError),
    ("interval", True, TypeError),
    ("timeout", -1, ConfigurationError),
    ("timeout", 1e12, ConfigurationError),
    ("headers", ["X-Org"], TypeError),
    ("headers", {"X-Org": 1}, TypeError),
    ("headers", {"X Org": "a"}, ConfigurationError),
    ("headers", {"X-Org\r\nX-Evil": "a"}, ConfigurationError),
    ("headers", {"content-LENGTH": "5"}, ConfigurationError),
    ("certificate", 1, TypeError),
    ("certificate", "/nowhere/at/all", ConfigurationError),
    ("certificate", "/tmp", ConfigurationError),  # noqa: S108 - a directory
    ("client_certificate", "/nowhere\0", ConfigurationError),
    ("client_key", "/nowhere", ConfigurationError),
    ("compression", "zstd", ConfigurationError),
    ("at_end", "forget", ConfigurationError),
    ("delete_delay", -0.5, ConfigurationError),
    ("delete_delay", False, TypeError),
    ("delete_delay", 5, ConfigurationError),  # without at_end="delete"
    ("handle_sigterm", 1, TypeError),
    ("username", 1, TypeError),
    ("username", "me", ConfigurationError),  # without a password
    ("password", "me", ConfigurationError),  # without a user
    ("bearer_token", "", ConfigurationError),
]


@pytest.mark.parametrize(("name", "value", "error"), BAD)
@pytest.mark.parametrize("exit_of", [PushgatewayExporter, PushgatewayMetricReader])
def test_a_bad_argument_is_named(exit_of: Any, name: str, value: Any, error: type[Exception]) -> None:
    """At construction, by both exits, and before a thread is started."""
    with pytest.raises(error, match=f"^{name}"):
        exit_of(**{"job": "mnist", name: value})


BAD_TEXTS: list[tuple[str, str]] = [
    ("address", "http://host:port"),
    ("address", "ho st"),
    ("grouping_key", "instance"),
    ("grouping_key", "a=1,a=2"),
    ("grouping_key", "job=mnist"),
    ("grouping_key", "=mnist"),
    ("grouping_key", "a%2Db=1"),
    ("method", "delete"),
    ("interval", "15 s"),
    ("interval", "0"),
    ("interval", "nan"),
    ("interval", "1e400"),
    ("timeout", "-5000"),
    ("username", "a"),
    ("password", "a"),
    ("bearer_token", "two words"),
    ("headers", "X-Org"),
    ("headers", "Host=a"),
    ("headers", "X-Org=a%0d%0ab"),
    ("headers", "X-Org=%C3%A9"),
    ("certificate", "/nowhere"),
    ("client_certificate", "/nowhere"),
    ("client_key", "/nowhere"),
    ("compression", "br"),
    ("at_end", "keep delete"),
    ("delete_delay", "1000"),
    ("delete_delay", "-1"),
    ("handle_sigterm", "1"),
    ("handle_sigterm", "yes"),
]


@pytest.mark.parametrize(("name", "text"), BAD_TEXTS)
@pytest.mark.parametrize("exit_of", [PushgatewayExporter, PushgatewayMetricReader])
def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch, exit_of: Any, name: str, text: str) -> None:
    """By its whole name, for whoever reads the log has not read this code."""
    monkeypatch.setenv(variable(name), text)
    with pytest.raises(ConfigurationError, match=f"^{variable(name)}"):
        exit_of(job="mnist")


def test_a_setting_that_there_is_not() -> None:
    """The message has those that there are."""
    with pytest.raises(TypeError, match=r"no setting 'intervall'.*interval"):
        PushgatewayExporter("localhost", "mnist", intervall=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_a_reader_goes_by_the_sdks_variables_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its own; an exporter does not."""
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "7000")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_TIMEOUT", "3000")
    found = resolve({}, **OF_READER)
    assert (found.interval, found.timeout, found.sources["interval"]) == (7, 3, "OTEL_METRIC_EXPORT_INTERVAL")
    assert (settings().interval, settings().timeout) == (15, 5)
    monkeypatch.setenv(variable("interval"), "9000")
    assert resolve({}, **OF_READER).interval == 9
    assert resolve({"interval": 11}, **OF_READER).interval == 11
    monkeypatch.setenv("OTEL_METRIC_EXPORT_TIMEOUT", "soon")
    with pytest.raises(ConfigurationError, match=r"^OTEL_METRIC_EXPORT_TIMEOUT must be a number of milliseconds"):
        PushgatewayMetricReader()


@pytest.mark.parametrize("name", ["interval", "timeout", "delete_delay"])
def test_a_bad_time_is_said_as_it_was_written(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """In milliseconds, as variables have them."""
    monkeypatch.setenv(variable(name), "-5")
    with pytest.raises(ConfigurationError, match=r"must be a number of milliseconds .*, got '-5'"):
        settings()


def test_what_the_code_keeps_is_not_deleted_after_the_environments_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two settings that go together, the code can override the one."""
    monkeypatch.setenv(variable("at_end"), "delete")
    monkeypatch.setenv(variable("delete_delay"), "5000")
    assert settings().delete_delay == 5
    kept = settings(at_end="keep")
    assert (kept.at_end, kept.delete_delay) == ("keep", 0)

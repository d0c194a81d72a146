"""Settings of the push exits: from argument, variable or default; errors name which, and no secret."""

from __future__ import annotations

import base64
import importlib.metadata
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from gangplank import ConfigurationError, PushgatewayExporter, PushgatewayMetricReader, environment_variables
from gangplank.exporters.pushgateway.exporter import push_settings
from gangplank.exporters.pushgateway.settings import DEFAULT, PushSettings, Settings, resolve
from gangplank.exporters.pushgateway.table import OF_READER, SETTINGS

SECRET = "hunter2"  # noqa: S105 - no secret of anybody's
PREFIX = "OTEL_EXPORTER_PUSHGATEWAY_"
RANKS = ("RANK", "WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS")

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


@pytest.fixture(autouse=True)
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what a launcher of these tests may have set."""
    for name in RANKS:
        monkeypatch.delenv(name, raising=False)


def variable(name: str) -> str:
    """Return the variable of a setting."""
    return next(setting.variable for setting in SETTINGS if setting.name == name)


def settings(**given: Any) -> Settings:
    """Return the settings of an exporter; a job need not be given."""
    return push_settings(given.pop("address", None), given.pop("job", "mnist"), **given)


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


SECRETS: list[dict[str, Any]] = [
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


class Files:
    """An authority and a client's certificate, in files."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        pair, other = authority.issue_cert("client@example.org"), authority.issue_cert("other@example.org")
        key = load_pem_private_key(pair.private_key_pem.bytes(), None)
        locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(SECRET.encode()))
        contents = {
            "authority": authority.cert_pem.bytes(),
            "certificate": pair.cert_chain_pems[0].bytes(),
            "key": pair.private_key_pem.bytes(),
            "both": pair.private_key_and_cert_chain_pem.bytes(),
            "other": other.private_key_pem.bytes(),
            "locked": locked,
            "empty": b"",
            "garbage": b"\x00\xff not PEM",
        }
        self.paths = {name: folder / f"{name}.pem" for name in contents}
        for name, content in contents.items():
            self.paths[name].write_bytes(content)

    def __getitem__(self, name: str) -> Path:
        return self.paths[name]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Certificates and keys."""
    return Files(tmp_path_factory.mktemp("certificates"))


def test_certificates_that_are_allowed(monkeypatch: pytest.MonkeyPatch, files: Files) -> None:
    """As path or text, in one file or two, given or in the environment."""
    found = settings(certificate=files["authority"], client_certificate=files["certificate"], client_key=files["key"])
    assert (found.certificate, found.client_key) == (str(files["authority"]), str(files["key"]))
    assert settings(client_certificate=str(files["both"])).client_key is None
    monkeypatch.setenv(variable("client_certificate"), str(files["certificate"]))
    monkeypatch.setenv(variable("client_key"), str(files["key"]))
    assert settings().client_certificate == str(files["certificate"])


@pytest.mark.parametrize(
    "given",
    [
        {"certificate": "empty"},
        {"certificate": "garbage"},
        {"certificate": "key"},
        {"client_certificate": "certificate"},
        {"client_certificate": "garbage"},
        {"client_certificate": "certificate", "client_key": "other"},
        {"client_certificate": "certificate", "client_key": "locked"},
        {"client_certificate": "certificate", "client_key": "empty"},
        {"client_key": "key"},
    ],
)
def test_certificates_that_are_not_allowed(
    monkeypatch: pytest.MonkeyPatch, files: Files, given: dict[str, str]
) -> None:
    """The file is looked into at once, and an encrypted key is no question at the terminal."""
    with pytest.raises(ConfigurationError, match=f"^{next(iter(given))}"):
        settings(**{name: files[file] for name, file in given.items()})
    for name, file in given.items():
        monkeypatch.setenv(variable(name), str(files[file]))
    with pytest.raises(ConfigurationError, match=f"^{variable(next(iter(given)))}"):
        settings()


@pytest.mark.parametrize(
    ("environ", "rank"),
    [
        ({"RANK": "3", "WORLD_SIZE": "4"}, "3"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, "0"),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"RANK": "3"}, None),
        ({"RANK": "x", "WORLD_SIZE": "4"}, None),
        ({"RANK": "-1", "WORLD_SIZE": "4"}, None),
        ({"RANK": "", "WORLD_SIZE": ""}, None),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, "1"),
        ({"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8"}, "5"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, None),  # a batch script, which has not called srun yet
        ({"RANK": "3", "WORLD_SIZE": "4", "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}, "3"),
        ({"RANK": "0", "WORLD_SIZE": "1", "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}, "1"),
    ],
)
def test_a_process_among_several_has_its_rank(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], rank: str | None
) -> None:
    """In its groups, unless the user says otherwise; a process on its own has none."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    found = settings(grouping_key={"team": "ml"})
    assert found.grouping_key == {"team": "ml"} | ({} if rank is None else {"rank": rank})
    assert rank is None or any(name in found.sources["grouping_key"] for name in environ)
    assert settings(grouping_key={"rank": "mine"}).grouping_key == {"rank": "mine"}
    assert settings().sources["grouping_key"] in ({DEFAULT} if rank is None else set(environ))


@pytest.mark.parametrize(
    ("environ", "job"),
    [
        ({"OTEL_SERVICE_NAME": "shop"}, "shop"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "team=ml, service.name=a%20b"}, "a b"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=x,service.namespace=ns"}, "ns/x"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=x,service.namespace=ns", "OTEL_SERVICE_NAME": "shop"}, "ns/shop"),
        ({"OTEL_SERVICE_NAME": "shop", f"{PREFIX}JOB": "mine"}, "mine"),
        ({"OTEL_SERVICE_NAME": "", "OTEL_RESOURCE_ATTRIBUTES": "service.name=x"}, "x"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "nonsense,,=,service.name=x=y"}, "x=y"),
    ],
)
def test_the_job_is_the_services_name(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], job: str) -> None:
    """If nothing else is said."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert settings(job=None).job == job
    assert settings(job="given").job == "given"


@pytest.mark.parametrize("text", [None, "", "  ", "service.namespace=ns"])
def test_without_a_job_there_is_no_exporter(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    """The error says which variables would do."""
    if text is not None:
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES" if "=" in text else "OTEL_SERVICE_NAME", text)
    with pytest.raises(ConfigurationError, match=r"^job must be given.*OTEL_SERVICE_NAME"):
        PushgatewayExporter("localhost")


def test_a_services_name_that_no_path_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are no UTF-8 come out of the environment as surrogates: the variable is named, and not the default."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "caf\udce9")
    with pytest.raises(ConfigurationError, match=r"OTEL_SERVICE_NAME|service name"):
        PushgatewayExporter("localhost")


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

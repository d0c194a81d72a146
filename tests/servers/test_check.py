"""``python -m gangplank check`` in a process of its own, of a real gateway and a real scrape endpoint."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from realservers import Gateway, free_port, get

from gangplank import PrometheusExporter, PushgatewayExporter, Telemetry
from gangplank.training import TrainingRun

ENDPOINT, JOB = "OTEL_EXPORTER_PUSHGATEWAY_ENDPOINT", "OTEL_EXPORTER_PUSHGATEWAY_JOB"
NEVER = 3600.0


def _check(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "gangplank", "check", *arguments]
    environment = {**os.environ, **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def _put(gateway: Gateway, path: str, body: str, method: str = "PUT") -> int:
    """Send something to a gateway as anybody might, and return the status of the answer."""
    connection = HTTPConnection(gateway.address, timeout=5)
    connection.request(method, path, body.encode(), {"Content-Type": "text/plain"})
    status = connection.getresponse().status
    connection.close()
    return status


def _train(gateway: Gateway, job: str = "mnist", **settings: str | dict[str, str]) -> None:
    exporter = PushgatewayExporter(gateway.address, job, interval=NEVER, **settings)  # type: ignore[arg-type]
    with Telemetry(exporters=[exporter]) as telemetry:
        run = TrainingRun(telemetry, "net")
        run.end_epoch(1, [("loss", 0.5)])
        run.end()


def _found(checked: subprocess.CompletedProcess[str], verdict: str) -> list[str]:
    return [line[8:] for line in checked.stdout.splitlines() if line.startswith(f"  {verdict:<5} ")]


@pytest.fixture
def scrape() -> Iterator[str]:
    """The address of a scrape endpoint of a telemetry that has something to show."""
    with Telemetry(exporters=[PrometheusExporter(port=0)]) as telemetry:
        TrainingRun(telemetry, "net").end()
        (handle,) = telemetry.handles
        yield handle.url  # type: ignore[attr-defined]


def test_a_gateway_with_the_jobs_groups(gateway: Gateway) -> None:
    """Its version, each group of the job and when it was last pushed, and nothing of other jobs."""
    _train(gateway)
    _train(gateway, "other")
    began = time.time()
    checked = _check(**{ENDPOINT: gateway.address, JOB: "mnist"})
    assert (checked.returncode, checked.stderr) == (0, "")
    version = json.loads(get(f"{gateway.url}/api/v1/status"))["data"]["build_information"]["version"]
    answer, *groups = _found(checked, "ok")
    assert answer == f"{gateway.url} answers, Pushgateway {version}"
    assert [group.partition(": ")[0] for group in groups] == [
        "group {job='mnist'}",
        "group {job='mnist', model='net'}",
        "group {job='mnist', phase='train'}",
    ]
    pushed = gateway.value("push_time_seconds", job="mnist", phase="train")
    assert pushed is not None
    assert began - 60 < pushed <= began
    moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(pushed))
    assert all(group.endswith((f"last pushed {moment}", "UTC")) for group in groups)
    assert groups[-1].endswith(f"last pushed {moment}")
    assert f"[{ENDPOINT}]" in checked.stdout
    assert f"[{JOB}]" in checked.stdout
    assert "other" not in checked.stdout


def test_a_gateway_that_has_nothing_of_the_job(gateway: Gateway) -> None:
    """That is worth a note, and not wrong: a first run has yet to push."""
    checked = _check("--gateway", gateway.address, "--job", "mnist")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert any("nothing of the job 'mnist'" in note for note in _found(checked, "note"))


def test_a_refused_push_is_wrong(gateway: Gateway) -> None:
    """Another job's metric of the same name and another type: the gateway says 400, and here is which group."""
    assert _put(gateway, "/metrics/job/another", "# TYPE gangplank_train_loss counter\ngangplank_train_loss 1\n") == 200
    _train(gateway)
    checked = _check("--gateway", gateway.address, "--job", "mnist")
    assert checked.returncode == 1
    (wrong,) = _found(checked, "WRONG")
    assert re.fullmatch(r"group \{job='mnist', phase='train'\}: the last push, .* UTC, was refused", wrong)
    assert any("group {job='mnist', model='net'}: last pushed" in fine for fine in _found(checked, "ok"))
    # Once what was in the way is gone and a push has been accepted, all is well again.
    assert _put(gateway, "/metrics/job/another", "", "DELETE") == 202
    _train(gateway)
    checked = _check("--gateway", gateway.address, "--job", "mnist")
    assert (checked.returncode, _found(checked, "WRONG")) == (0, [])


@pytest.mark.parametrize("job", ["a/b c", "..", 'the "job"', "a\nb", "a\\nb", "Ünï 模型", "%2F+=", "x" * 500])
def test_any_job_is_found(job: str, gateway: Gateway) -> None:
    """Whatever is in its name, and in another label of the group's."""
    _train(gateway, job, grouping_key={"instance": job})
    checked = _check("--gateway", gateway.address, "--job", job)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert f"  ok    group {{job={job!r}, instance={job!r}, phase='train'}}: last pushed " in checked.stdout


@pytest.mark.parametrize("text", ["\u2028", "\x0b", "\x85", "\r", "a\u2028push_time_seconds 1"], ids=ascii)
def test_what_other_jobs_are_called_does_not_matter(text: str, gateway: Gateway) -> None:
    """A gateway is shared: a label of somebody else's that looks like the end of a line is none."""
    _train(gateway, f"other {text} job")
    _train(gateway, "mnist", grouping_key={"instance": f"i{text}"})
    checked = _check("--gateway", gateway.address, "--job", "mnist")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert sum("last pushed" in fine for fine in _found(checked, "ok")) == 3


def test_a_dry_run_pushes_nothing_and_shows_what_would_be_accepted(gateway: Gateway) -> None:
    """The requests that it shows, sent by hand, are accepted by the gateway."""
    checked = _check("--gateway", gateway.address, "--job", "a/b", "--dry-run")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert gateway.series("push_time_seconds") == []
    shown = checked.stdout.partition("nothing is sent")[2]
    requests = re.findall(rf"^  (PUT|POST) {gateway.url}(\S+)\n(?:  \S.*\n)+\n((?:    .*\n)+)", shown, re.MULTILINE)
    assert [method for method, _, _ in requests] == ["PUT", "POST", "POST"]
    for method, path, body in requests:
        assert _put(gateway, path, textwrap.dedent(body), method) == 200
    assert gateway.value("gangplank_train_loss", job="a/b", phase="train") == 0.5


def test_a_gateway_that_is_not_there() -> None:
    """Wrong, said in a line."""
    address = f"127.0.0.1:{free_port()}"
    checked = _check("--gateway", address, "--job", "mnist")
    assert (checked.returncode, checked.stderr) == (1, "")
    (wrong,) = _found(checked, "WRONG")
    assert address in wrong


@pytest.mark.parametrize("by_variable", [True, False])
def test_a_scrape_endpoint(scrape: str, *, by_variable: bool) -> None:
    """What answers, and how much of it is ours."""
    port = scrape.rpartition(":")[2].partition("/")[0]
    variables = {"OTEL_EXPORTER_PROMETHEUS_PORT": port, "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1"}
    checked = _check(**variables) if by_variable else _check("--scrape", f"127.0.0.1:{port}")
    assert (checked.returncode, checked.stderr) == (0, "")
    (fine,) = _found(checked, "ok")
    found = re.fullmatch(
        rf"http://127.0.0.1:{port}/metrics answers with (\d+) metrics, (\d+) of them Gangplank's", fine
    )
    assert found
    families = re.findall(r"^# TYPE (\S+)", get(scrape), re.MULTILINE)
    ours = [name for name in families if name.startswith("gangplank_")]
    assert (int(found[1]), int(found[2])) == (len(families), len(ours))
    assert "Pushgateway" not in checked.stdout


def test_a_gateway_in_the_place_of_a_scrape_endpoint_and_back(gateway: Gateway, scrape: str) -> None:
    """A gateway serves metrics; a scrape endpoint that is taken for a gateway is not ready for pushes."""
    assert _check("--scrape", gateway.address).returncode == 0
    checked = _check("--gateway", scrape.removesuffix("/metrics"), "--job", "mnist")
    assert checked.returncode in (0, 1)
    assert checked.stderr == ""
    assert "Pushgateway 1" not in checked.stdout


def test_both_at_once(gateway: Gateway, scrape: str) -> None:
    """One that is wrong does not keep the other from being looked at."""
    checked = _check("--gateway", f"127.0.0.1:{free_port()}", "--job", "mnist", "--scrape", scrape)
    assert checked.returncode == 1
    assert len(_found(checked, "WRONG")) == 1
    assert any("Gangplank's" in fine for fine in _found(checked, "ok"))
    checked = _check("--gateway", gateway.address, "--job", "mnist", "--scrape", f"127.0.0.1:{free_port()}")
    assert checked.returncode == 1
    assert any("Pushgateway" in fine for fine in _found(checked, "ok"))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_EXPORTER_PUSHGATEWAY_INTERVAL", "soon"),
        ("OTEL_EXPORTER_PUSHGATEWAY_BEARER_TOKEN", "hush hush"),
        ("OTEL_EXPORTER_PUSHGATEWAY_GROUPING_KEY", "phase=hush"),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "hush"),
    ],
)
def test_a_bad_value(variable: str, value: str, gateway: Gateway) -> None:
    """Named, with an exit status of its own."""
    checked = _check(**{ENDPOINT: gateway.address, JOB: "mnist", variable: value})
    assert (checked.returncode, checked.stderr) == (2, "")
    assert any(variable in wrong for wrong in _found(checked, "WRONG"))
    assert "TOKEN" not in variable or "hush" not in checked.stdout


def test_nothing_secret_is_shown(gateway: Gateway) -> None:
    """Neither of the address nor of what authenticates, in the dry run neither."""
    port = gateway.address.rpartition(":")[2]
    for variables in (
        {ENDPOINT: f"http://user:hush@127.0.0.1:{port}"},
        {"OTEL_EXPORTER_PUSHGATEWAY_USERNAME": "user", "OTEL_EXPORTER_PUSHGATEWAY_PASSWORD": "hush"},
        {"OTEL_EXPORTER_PUSHGATEWAY_BEARER_TOKEN": "hush"},
        {"OTEL_EXPORTER_PUSHGATEWAY_HEADERS": "X-Key=hush"},
    ):
        checked = _check("--dry-run", **{ENDPOINT: gateway.address, JOB: "mnist", **variables})
        assert (checked.returncode, checked.stderr) == (0, "")
        assert "hush" not in checked.stdout

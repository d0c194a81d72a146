"""``gangplank check --dry-run`` shows what would be sent and sends nothing; and the command as a program."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import pytest
from checking import Check
from pushsettings import PREFIX as P
from pushsettings import SECRET
from realservers import Gateway as RealGateway
from realservers import free_port, get

from gangplank.testing import FakeGateway

pytestmark = pytest.mark.usefixtures("_one_process")

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


def test_a_dry_run_of_what_opentelemetry_would_push(
    check: Check, fake_gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest goes out by PUT then, and the program's own metrics with it."""
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "pushgateway")
    _, out = check("--gateway", fake_gateway.address, "--job", "mnist", "--dry-run")
    assert ("PUT", f"http://{fake_gateway.address}/metrics/job/mnist") in REQUEST.findall(out)
    assert "measures with OpenTelemetry" in out


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


@pytest.mark.parametrize("arguments", [(), ("--dry-run",)])
def test_whoever_reads_has_seen_enough(gateway: RealGateway, arguments: tuple[str, ...]) -> None:
    """As ``head`` has: that is no trouble to tell of."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "gangplank", "check", "--gateway", gateway.url, "--job", "mnist", *arguments]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")

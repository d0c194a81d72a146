"""``opentelemetry-instrument`` with ``OTEL_METRICS_EXPORTER=pushgateway``: real processes and a real gateway."""

from __future__ import annotations

import signal
import subprocess
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from instrumented import end, pushing_to, start
from realservers import Gateway, free_port, wait_for

ORDERS = """
    from opentelemetry import metrics
    metrics.get_meter("shop").create_counter("orders").add(3, {"kind": "bread"})
    print("done", flush=True)
"""
COUNTING = """
    import sys
    from opentelemetry import metrics
    lines = metrics.get_meter("shop").create_counter("lines")
    print("ready", flush=True)
    for line in sys.stdin:
        lines.add(1)
"""


def _run(source: str, *flags: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return end(start(["-c", textwrap.dedent(source)], *flags, **variables))


@contextmanager
def _running(source: str, *flags: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program from when it says something, and see to it that it ends."""
    process = start(["-c", textwrap.dedent(source)], *flags, **variables)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip(), end(process).stderr
        yield process
    finally:
        process.kill()
        process.communicate()


def test_settings_as_variables(gateway: Gateway) -> None:
    """No code, no flag: what a program counts is at the gateway, in its group, and the program's output is its own."""
    variables = pushing_to(gateway, GROUPING_KEY="instance=a%2Fb, team=ml,empty=", COMPRESSION="gzip")
    ended = _run(ORDERS, **variables)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")
    ((labels, value),) = gateway.series("orders_total", job="shop")
    assert value == 3
    assert {name: text for name, text in labels.items() if text} == {
        "job": "shop",
        "instance": "a/b",
        "team": "ml",
        "kind": "bread",
    }


def test_settings_as_flags(gateway: Gateway) -> None:
    """The same by flags, which come before variables."""
    flags = {
        "metrics_exporter": "pushgateway",
        "exporter_pushgateway_endpoint": f"http://{gateway.address}/",
        "exporter_pushgateway_job": "shop",
        "exporter_pushgateway_grouping_key": "instance=a=b",
        "exporter_pushgateway_method": "post",
        "exporter_pushgateway_interval": "250",
        "exporter_pushgateway_timeout": "2000",
        "exporter_pushgateway_headers": "X-Scope-OrgID=a%20b",
    }
    arguments = [part for name, value in flags.items() for part in (f"--{name}", value)]
    ended = _run(ORDERS, *arguments, OTEL_EXPORTER_PUSHGATEWAY_JOB="another")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")
    assert gateway.value("orders_total", job="shop", instance="a=b") == 3


def test_at_end_delete_as_a_flag(gateway: Gateway) -> None:
    """While the program runs its values are there; when it has ended, they are not."""
    flags = ["--exporter_pushgateway_at_end", "delete"]
    with _running(COUNTING, *flags, **pushing_to(gateway, INTERVAL="100")) as process:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        wait_for(lambda: gateway.value("lines_total", job="shop") == 1)
        ended = end(process)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert gateway.series("lines_total") == []
    assert gateway.series("push_time_seconds") == []


@pytest.mark.parametrize(
    ("variables", "job"),
    [
        ({}, "unknown_service:python"),
        ({"OTEL_SERVICE_NAME": "bakery"}, "bakery"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=bakery,service.namespace=town"}, "town/bakery"),
        ({"OTEL_SERVICE_NAME": "bakery", "JOB": "shop"}, "shop"),
    ],
    ids=str,
)
def test_the_job_is_the_service(variables: dict[str, str], job: str, gateway: Gateway) -> None:
    """What OpenTelemetry calls the program is its job, unless it is given one."""
    ended = _run(ORDERS, **pushing_to(gateway, **{"JOB": "", **variables}))
    assert ended.returncode == 0, ended.stderr
    ((labels, _),) = gateway.series("orders_total")
    assert labels["job"] == job


def test_beside_the_console(gateway: Gateway) -> None:
    """Both have it."""
    ended = _run(ORDERS, **pushing_to(gateway, OTEL_METRICS_EXPORTER="pushgateway,console"))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert '"name": "orders"' in ended.stdout
    assert gateway.value("orders_total", job="shop") == 3


@pytest.mark.parametrize("exporters", ["pushgateway,prometheus", "prometheus, pushgateway"])
def test_beside_a_scrape(exporters: str, gateway: Gateway) -> None:
    """A page of its own and the gateway show the same; neither takes the other's registry."""
    port = free_port()
    source = f"""{ORDERS}
    from urllib.request import urlopen
    page = urlopen("http://127.0.0.1:{port}/metrics").read().decode()
    print(*[line for line in page.splitlines() if line.startswith("orders_total")])
    """
    variables = {"OTEL_EXPORTER_PROMETHEUS_PORT": str(port), "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1"}
    ended = _run(source, **pushing_to(gateway, OTEL_METRICS_EXPORTER=exporters, **variables))
    assert (ended.returncode, ended.stderr) == (0, "")
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("orders_total")]
    assert line.endswith(" 3.0")
    assert gateway.value("orders_total", job="shop") == 3


@pytest.mark.parametrize(
    "interval",
    [{"OTEL_METRIC_EXPORT_INTERVAL": "100"}, {"OTEL_METRIC_EXPORT_INTERVAL": "3600000", "INTERVAL": "100"}],
    ids=str,
)
def test_the_interval(interval: dict[str, str], gateway: Gateway) -> None:
    """OpenTelemetry's own variable says how often, unless the exporter's does."""
    with _running(COUNTING, **pushing_to(gateway, **interval)) as process:
        assert process.stdin is not None
        for count in range(1, 6):
            process.stdin.write("\n")
            process.stdin.flush()
            wait_for(lambda: gateway.value("lines_total", job="shop") == count)  # noqa: B023 - called at once


BAD = {
    "ENDPOINT": "ftp://gateway",
    "GROUPING_KEY": "phase=train",
    "METHOD": "PATCH",
    "INTERVAL": "soon",
    "TIMEOUT": "-1",
    "PASSWORD": "hush-hush",
    "BEARER_TOKEN": "hush hush",
    "HEADERS": "hush-hush",
    "CERTIFICATE": "/nowhere/ca.pem",
    "CLIENT_CERTIFICATE": "/nowhere/client.pem",
    "COMPRESSION": "brotli",
    "AT_END": "forget",
    "DELETE_DELAY": "inf",
    "HANDLE_SIGTERM": "perhaps",
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value(name: str, gateway: Gateway) -> None:
    """It is said on stderr which variable is at fault, nothing secret is, and the program runs as if nothing were."""
    ended = _run(ORDERS, **pushing_to(gateway, **{name: BAD[name]}))
    assert (ended.returncode, ended.stdout) == (0, "done\n")
    assert f"OTEL_EXPORTER_PUSHGATEWAY_{name}" in ended.stderr
    assert "ConfigurationError" in ended.stderr
    assert "hush" not in ended.stderr
    assert gateway.series("push_time_seconds") == []


def test_a_bad_value_of_opentelemetrys_own(gateway: Gateway) -> None:
    """The variable that is named is the one that is wrong."""
    ended = _run(ORDERS, **pushing_to(gateway, OTEL_METRIC_EXPORT_INTERVAL="soon"))
    assert (ended.returncode, ended.stdout) == (0, "done\n")
    assert "OTEL_METRIC_EXPORT_INTERVAL must be" in ended.stderr


@pytest.mark.parametrize(
    ("last_words", "status"), [("raise RuntimeError", 1), ("raise SystemExit(3)", 3), ("raise KeyboardInterrupt", 130)]
)
def test_however_it_ends(last_words: str, status: int, gateway: Gateway) -> None:
    """The last values are pushed, and the exit status is the program's own."""
    ended = _run(f"{ORDERS}\n    {last_words}", **pushing_to(gateway))
    assert ended.returncode in (status, -signal.SIGINT if status == 130 else status), ended.stderr
    assert gateway.value("orders_total", job="shop") == 3


@pytest.mark.parametrize("is_handled", [True, False])
def test_sigterm(gateway: Gateway, *, is_handled: bool) -> None:
    """Asked to handle it, it pushes first; the process dies of the signal all the same."""
    source = f"{ORDERS}\n    input()"
    with _running(source, **pushing_to(gateway, HANDLE_SIGTERM=str(is_handled), INTERVAL="3600000")) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM
    assert gateway.value("orders_total", job="shop") == (3 if is_handled else None)


def test_a_forked_child_pushes_nothing(gateway: Gateway) -> None:
    """The values at the gateway are the parent's, though the child counts on and ends as programs end."""
    source = """
    import os, sys
    from opentelemetry import metrics
    orders = metrics.get_meter("shop").create_counter("orders")
    orders.add(1)
    child = os.fork()
    if child == 0:
        orders.add(98)
        sys.exit()
    os.waitpid(child, 0)
    orders.add(1)
    """
    ended = _run(source, **pushing_to(gateway, AT_END="keep"))
    assert ended.returncode == 0, ended.stderr
    assert gateway.value("orders_total", job="shop") == 2


def test_without_a_gateway() -> None:
    """The program ends as ever, and says once that its values are lost."""
    ended = _run(ORDERS, **pushing_to(Gateway(free_port())))
    assert (ended.returncode, ended.stdout) == (0, "done\n")
    assert ended.stderr.count("could not push") == 1, ended.stderr

"""Groups that are deleted at the end: those of the process, after the delay, and nobody else's."""

from __future__ import annotations

import signal
import time
from urllib.request import Request, urlopen

import pytest
from endings import BEGIN, WAIT, ended, source, started
from faultserver import EXITS
from pushes import BASE
from realservers import Gateway, wait_for

from gangplank.testing import FakeGateway


def groups(gateway: Gateway) -> set[tuple[tuple[str, str], ...]]:
    """Return the labels of all groups of a gateway."""
    return {tuple(sorted((k, v) for k, v in labels.items() if v)) for labels, _ in gateway.series("push_time_seconds")}


def others(gateway: Gateway) -> set[tuple[tuple[str, str], ...]]:
    """Put groups of others at a gateway, and return their labels."""
    for path in ("job/other", "job/mnist/instance/b", "job/mnist/phase/train/instance/a", "job/mnist/phase/test"):
        urlopen(Request(f"{gateway.url}/metrics/{path}", b"theirs 1\n", method="PUT")).close()
    found = groups(gateway)
    assert len(found) == 4
    return found


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize("key", ["", "grouping_key={'instance':'c/d'}"])
def test_delete(gateway: Gateway, kind: str, key: str) -> None:
    """At the end it takes away what it pushed, and nobody else's."""
    theirs = others(gateway)
    program = source(BEGIN, 'print("ready", flush=True)', "run.end()")
    kept = ended(program, gateway.address, kind, key)
    assert (kept[0], kept[2]) == (0, "")
    assert len(groups(gateway)) == len(theirs) + 3  # the run's, the model's, the export's
    assert ended(program, gateway.address, kind, key, "at_end='delete'") == (0, "", "")
    assert groups(gateway) == theirs


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize("ending", ["", "raise ValueError"])
def test_delete_after_a_delay(gateway: Gateway, kind: str, ending: str) -> None:
    """The process waits with the last values on show, longer than a push may take, and then takes them away."""
    program = source(BEGIN, 'print("ready", flush=True)', "run.end()", ending)
    with started(program, gateway.address, kind, "at_end='delete'", "delete_delay=2", "timeout=0.5") as process:
        wait_for(lambda: gateway.value("gangplank_train_outcome", outcome="success") == 1)
        assert process.poll() is None
        assert process.wait(20) == (1 if ending else 0)
    assert groups(gateway) == set()


@pytest.mark.parametrize("kind", EXITS)
def test_delete_on_sigterm(gateway: Gateway, kind: str) -> None:
    """An end like any other."""
    theirs = others(gateway)
    program = source(BEGIN, WAIT)
    arguments = ("handle_sigterm=True", "at_end='delete'")
    assert ended(program, gateway.address, kind, *arguments, sends=signal.SIGTERM) == (-signal.SIGTERM, "", "")
    assert groups(gateway) == theirs


@pytest.mark.parametrize("kind", EXITS)
def test_delete_at_a_gateway_that_falls_silent(fake_gateway: FakeGateway, kind: str) -> None:
    """The groups stay, and the process does not."""
    program = source(BEGIN, 'print("ready", flush=True)', "run.end()")
    arguments = (kind, "at_end='delete'", "delete_delay=1")
    with started(program, fake_gateway.address, *arguments) as process:
        wait_for(lambda: [request.path for request in fake_gateway.requests].count(BASE) >= 1)
        fake_gateway.held.clear()
        began = time.monotonic()
        assert process.wait(40) == 0
        assert time.monotonic() - began < 15
    assert [request.method for request in fake_gateway.requests].count("DELETE") == 1


@pytest.mark.parametrize("kind", EXITS)
def test_nothing_was_pushed_and_nothing_is_deleted(fake_gateway: FakeGateway, kind: str) -> None:
    """A program that measured nothing leaves the groups of its job alone."""
    program = source("telemetry, pushing = setup(**settings)", 'print("ready", flush=True)')
    assert ended(program, fake_gateway.address, kind, "at_end='delete'") == (0, "", "")
    assert not fake_gateway.requests

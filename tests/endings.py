"""Programs that push and end: their source, and how they and their gateway were left."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Generator
from contextlib import contextmanager

from processes import Page
from pushes import TRAIN

from gangplank.testing import FakeGateway

PRELUDE = """
import os, signal, sys, threading, time
from gangplank import PushgatewayExporter, PushgatewayMetricReader, Telemetry
from gangplank.training import TrainingRun

_, address, kind, *given = sys.argv
settings = dict(eval("dict(" + ",".join(given) + ")"))
settings.setdefault("interval", 3600)
before = globals().get("before")

def setup(**settings):
    if kind == "exporter":
        telemetry = Telemetry(exporters=[PushgatewayExporter(address, "mnist", **settings)])
        telemetry.start()
        return telemetry, telemetry
    from opentelemetry.sdk.metrics import MeterProvider
    provider = MeterProvider([PushgatewayMetricReader(address, "mnist", **settings)])
    telemetry = Telemetry(meter_provider=provider)
    telemetry.start()
    return telemetry, provider
"""
BEGIN = """
telemetry, pushing = setup(**settings)
run = TrainingRun(telemetry, "net")
run.step_to(3)
"""
WAIT = """
print("ready", flush=True)
while True: time.sleep(0.01)
"""


def source(*parts: str) -> str:
    """Return a program of these parts."""
    return PRELUDE + "\n".join(map(textwrap.dedent, parts))


@contextmanager
def started(program: str, address: str, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """Run a program until the block ends; the block begins when it has said that it is ready."""
    command = [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    process = subprocess.Popen(
        [*command, "-c", program, address, *filter(None, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


def ended(program: str, address: str, *arguments: str, sends: int = 0) -> tuple[int, str, str]:
    """Run a program, send it a signal when it is ready, and return its status, output and errors."""
    with started(program, address, *arguments) as process:
        if sends:
            process.send_signal(sends)
        out, err = process.communicate(timeout=40)
        return process.returncode, out, err


def outcome(gateway: FakeGateway) -> str | None:
    """Return the outcome that the gateway was told last, of a run of three steps."""
    [*_, last] = [request.body for request in gateway.requests if request.path == TRAIN]
    page = Page(last)
    assert page.value("gangplank_train_steps_total") == 3
    told = [
        one
        for one in ("success", "failed", "interrupted", "diverged")
        if page.value("gangplank_train_outcome", outcome=one)
    ]
    assert len(told) <= 1
    return told[0] if told else None

"""Programs under ``opentelemetry-instrument`` that push to a gateway."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import needs
from realservers import Gateway


def start(program: list[str], *flags: str, **variables: str) -> subprocess.Popen[str]:
    """Start a program that is instrumented."""
    instrument = needs.program(str(Path(sys.executable).with_name("opentelemetry-instrument")), "opentelemetry-distro")
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", **variables}
    return subprocess.Popen(
        [instrument, *flags, sys.executable, *program],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Return how it ended, and what it said."""
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def pushing_to(gateway: Gateway, **more: str) -> dict[str, str]:
    """Return the environment of a process that pushes to the gateway for the job ``shop``."""
    more.setdefault("JOB", "shop")
    ours = {f"OTEL_EXPORTER_PUSHGATEWAY_{name}": value for name, value in more.items() if not name.startswith("OTEL")}
    others = {name: value for name, value in more.items() if name.startswith("OTEL")}
    exporter = {"OTEL_METRICS_EXPORTER": "pushgateway", "OTEL_EXPORTER_PUSHGATEWAY_ENDPOINT": gateway.address}
    return exporter | ours | others

"""The benchmarks run, and explain the code that there is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import needs
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
VARIANTS = """
from contextlib import ExitStack
from train_variants import variants
with ExitStack() as stack:
    print(*variants(stack), sep="\\n")
"""


@pytest.fixture(autouse=True)
def _packages() -> None:
    for package in ("keras", "prometheus_client", "requests", "wrapt"):
        needs.module(package)


def run(*arguments: str) -> str:
    """Run Python in the folder of the benchmarks, and return what it prints."""
    environment = {**os.environ, "KERAS_BACKEND": "numpy"}
    command = [sys.executable, *arguments]
    ran = subprocess.run(command, cwd=BENCHMARKS, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_lines_of_a_call_that_are_timed_are_those_of_inference() -> None:
    """They are written down twice; whoever changes the hot path is told to change what explains its cost."""
    run("-c", "import predict_parts; predict_parts.check()")


def test_memory_is_measured_in_every_case() -> None:
    """The part of the benchmark of inference that needs no other package fetched prints a row for each case."""
    printed = run("predict_overhead.py", "--quick", "--only", "memory")
    rows = [line.split(" | ") for line in printed.splitlines() if line.startswith("|")]
    assert {len(row) for row in rows[2:]} == {8}
    assert [row[1] for row in rows[2:]] == ["20,000", "20,000", "20,000", "2,000"]


def test_training_is_watched_in_all_ways_that_are_installed() -> None:
    """What needs no other package than the tests do is compared in any case."""
    for package in ("opentelemetry.sdk", "opentelemetry.instrumentation"):
        needs.module(package)
    compared = run("-c", VARIANTS).splitlines()
    assert {"no callback", "TelemetryCallback", "KerasInstrumentor", "TrainTestExporter"} <= set(compared)

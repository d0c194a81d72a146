"""Whether memory stays flat over millions of calls, whatever threads come and go and whatever is raised."""

from __future__ import annotations

import gc
import os
import tempfile
import threading
import tracemalloc
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

from predict_subjects import Failing, Model, Noop, batch
from prometheus_client import CollectorRegistry

from gangplank import PrometheusModel, Telemetry, TelemetryModel
from gangplank.testing import InMemoryExporter

_OF_A_THREAD = 1000
_LOOKS = 10
_STATM = Path("/proc/self/statm")


class Use(NamedTuple):
    """Memory in use: of the process, in pages that are resident, and by Python's objects; both in bytes."""

    resident: int
    traced: int


def _use() -> Use:
    gc.collect()
    pages = int(_STATM.read_text().split()[1]) if _STATM.exists() else 0
    return Use(pages * os.sysconf("SC_PAGE_SIZE") if pages else 0, tracemalloc.get_traced_memory()[0])


def _calls(model: Model, x: Any, times: int) -> None:  # noqa: ANN401 - an array
    for _ in repeat(None, times):
        model(x)


def _calls_that_raise(model: Model, x: Any, times: int) -> None:  # noqa: ANN401
    for _ in repeat(None, times):
        with suppress(ValueError):
            model(x)


def _calls_on_threads(model: Model, x: Any, times: int) -> None:  # noqa: ANN401
    for _ in range(0, times, 2 * _OF_A_THREAD):
        threads = [threading.Thread(target=_calls, args=(model, x, _OF_A_THREAD)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


Cases = dict[str, tuple[Model, Callable[[Model, Any, int], None], int]]


def _cases(stack: ExitStack, calls: int) -> Cases:
    telemetry = stack.enter_context(Telemetry(exporters=[InMemoryExporter()]))
    shared = PrometheusModel(
        Noop(), CollectorRegistry(), multiprocess_dir=stack.enter_context(tempfile.TemporaryDirectory())
    )
    stack.callback(shared.telemetry.close)
    noop, failing = TelemetryModel(Noop(), telemetry), TelemetryModel(Failing(), telemetry, name="failing")
    return {
        "on one thread": (noop, _calls, calls),
        f"two threads at a time, new ones every {_OF_A_THREAD} calls": (noop, _calls_on_threads, calls),
        "... with multiprocess_dir": (shared, _calls_on_threads, calls),
        "calls that raise": (failing, _calls_that_raise, calls // 10),
    }


def measured(calls: int) -> dict[str, tuple[int, list[Use]]]:
    """Return, of every case, the number of calls, and the memory in use before, ten times during, and after them."""
    uses: dict[str, tuple[int, list[Use]]] = {}
    with ExitStack() as stack:
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        x = batch()
        for name, (model, make, times) in _cases(stack, calls).items():
            make(model, x, max(times // 100, 2 * _OF_A_THREAD))  # to warm up
            uses[name] = times, [_use()]
            for _ in range(_LOOKS):
                make(model, x, times // _LOOKS)
                uses[name][1].append(_use())
    return uses


def table(uses: dict[str, tuple[int, list[Use]]]) -> str:
    """Return the memory in use before and after, and the most in between."""
    head = "| calls | number | resident before, MiB | after | most | Python's objects before, KiB | after | most |"
    lines = ["### Memory", "", head, f"|---|{7 * '---:|'}"]
    for name, (times, of_case) in uses.items():
        resident = [f"{each / 2**20:.1f}" for each in _ends_and_most([use.resident for use in of_case])]
        traced = [f"{each / 2**10:.1f}" for each in _ends_and_most([use.traced for use in of_case])]
        lines.append(f"| {' | '.join([name, f'{times:,}', *resident, *traced])} |")
    return "\n".join([*lines, ""])


def _ends_and_most(values: list[int]) -> tuple[int, int, int]:
    return values[0], values[-1], max(values)

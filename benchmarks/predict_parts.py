"""Where the time that a proxy adds to a call goes, line by line.

A measured call is built up step by step, from a function that does nothing but call the model to all that there is,
and every step is timed against the one before. So the steps add up, and each is seen among its neighbours: by itself,
in a loop, a line can be twice as fast or as slow.
"""

from __future__ import annotations

import inspect
import re
import statistics
import sys
import timeit
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import keras
from predict_subjects import Model, Noop, batch
from prometheus_client import CollectorRegistry, Counter

from gangplank import Telemetry, TelemetryModel, inference
from gangplank.catalogue import metric
from gangplank.metrics import Phase
from gangplank.testing import InMemoryExporter
from gangplank_keras.batches import CALLS, is_trace


class Ladder(NamedTuple):
    """A call, step by step.

    Attributes:
        title: Whose call.
        steps: What each step does, and what for.
        source: A function ``call``. A line is there from the step on whose number is behind it.
        measured: The name of the real function, among those that are timed.
        proxy: The name of the proxy that has it; the same, where they cannot be told apart.
    """

    title: str
    steps: tuple[tuple[str, str], ...]
    source: str
    measured: str
    proxy: str

    def rungs(self, names: dict[str, Any], module: ModuleType) -> list[Callable[..., Any]]:
        """Return the functions, from the one with no step to the one with all.

        Args:
            names: The variables of the function around it.
            module: The module that it is from.
        """
        return [self._rung(number, names, module) for number in range(len(self.steps) + 1)]

    def lines(self) -> list[tuple[str, int]]:
        """Return the lines, and the step from which on each is there."""
        tags = [(line, re.search(r"  #(\d+)$", line)) for line in self.source.splitlines()]
        return [(line[: tag.start()], int(tag[1])) if tag else (line, 0) for line, tag in tags]

    def _rung(self, number: int, names: dict[str, Any], module: ModuleType) -> Callable[..., Any]:
        lines = [f"    {line}" for line, step in self.lines() if step <= number]
        scope = vars(module).copy()
        exec("\n".join([f"def make({', '.join(names)}):", *lines, "    return call"]), scope)  # noqa: S102 - see below
        made: Callable[..., Any] = scope["make"](**names)
        return made


OTHERWISE = ("was it a trace; has it a batch axis", "what serves nobody is not counted")
# Lines of `measured` in gangplank/inference.py; only that this returns where that has an `if`.
OURS = Ladder(
    "A call of ours",
    (
        ("the cells that the thread has for itself", "no lock, and no count lost"),
        ("two clock readings", "time"),
        ("is it time to look for a tracer; is there one", "spans"),
        ("up before, down after", "`in_flight`"),
        ("what tells the size of this type of output; the size", "samples"),
        OTHERWISE,
        ("the duration, its bucket found and counted", "`duration_bucket`, `_count`"),
        ("the sum of durations", "`duration_sum` and `call_time_total`, one cell"),
        ("the time of day", "`last_timestamp`"),
        ("the size's bucket found and counted", "`batch_size_bucket`, `_count`"),
        ("the sum of sizes", "`batch_size_sum` and `call_total`, one cell"),
        ("does anyone listen; is there a span to end", "providers, exemplars, spans"),
    ),
    """\
def call(*args, **kwargs):
    cells = lanes.local.cells  #1
    began = clock()  #2
    if began >= tracing.look_at:  #3
        tracing.look()  #3
    span = None if tracing.tracer is None else open_span(args, kwargs)  #3
    cells[_IN_FLIGHT] += 1  #4
    try:
        result = function(*args, **kwargs)
    except BaseException:
        cells[_IN_FLIGHT] -= 1
        raise
    cells[_IN_FLIGHT] -= 1  #4
    try:
        pass
        ended = clock()  #2
        count = sizes[type(result)](result)  #5
        if count == TRACED:  #6
            return result  #6
        duration = ended - began  #7
        cells[_DURATION + bisect_left(CALL_DURATION_BOUNDS, duration)] += 1  #7
        cells[_DURATION_SUM] += duration  #8
        cells[_LAST] = ended + tracing.unix  #9
        if count is None:  #6
            return result  #6
        cells[_SIZE + bisect_left(BATCH_SIZE_BOUNDS, count)] += 1  #10
        cells[_SIZE_SUM] += count  #11
        if state.listeners:  #12
            durations.tell(duration)  #12
    finally:
        pass
        if span is not None:  #12
            span.end()  #12
    return result""",
    "our function",
    "our proxy",
)
OLDER = Ladder(
    "A call of gangplank 0.5.0's",
    (
        ("two clock readings", "time"),
        ("the output's length", "samples"),
        ("a counter, behind its lock", "`call_total`"),
        ("a counter, behind its lock", "`call_time_total`"),
    ),
    """\
def call(*args, **kwargs):
    began = time.time()  #1
    try:
        result = function.__call__(*args, **kwargs)
        size = len(result)  #2
        counter.inc(size)  #3
        return result
    finally:
        duration = time.time() - began  #1
        seconds.inc(duration)  #4
        pass""",
    "their proxy",
    "their proxy",
)

Samples = dict[str, list[float]]


def check() -> None:
    """See that the ladder is still of the lines of the real one, but for those that it must have otherwise.

    Raises:
        LookupError: it is not.
    """
    real = inspect.getsource(inference.Inference.measured)
    otherwise = OURS.steps.index(OTHERWISE) + 1
    gone = [line.strip() for line, step in OURS.lines() if step not in (0, otherwise) and line.strip() not in real]
    if gone:
        raise LookupError(f"no lines of gangplank/inference.py any more: {gone}")


def _names(telemetry: Telemetry) -> dict[str, Any]:
    """Return what the sources name, as the function around has it."""
    state = telemetry.state
    sizes = state.histogram(metric(Phase.PREDICT, "batch_size"), model="lines")
    lanes = state.lanes((sizes, inference._SIZE))  # noqa: SLF001 - laid out as that has it
    lanes.take()
    return {
        "function": Noop(),
        "lanes": lanes,
        "clock": telemetry.clock.monotonic,
        "tracing": telemetry.tracing,
        "open_span": is_trace,
        "sizes": CALLS,
        "durations": sizes,
        "state": state,
        "counter": Counter("samples", "None.", registry=CollectorRegistry()),
        "seconds": Counter("seconds", "None.", registry=CollectorRegistry()),
    }


def _functions(telemetry: Telemetry, older: Callable[..., Model]) -> dict[str, Callable[..., Any]]:
    """Return all that is to be timed: the bare model, the real proxies, and every rung of every ladder."""
    ours = inference.Inference(telemetry, "whole")
    functions: dict[str, Callable[..., Any]] = {
        "model": Noop(),
        "our function": ours.measured(Noop(), "__call__", is_call=True, sizes=CALLS, is_trace=is_trace),
        "our proxy": TelemetryModel(Noop(), telemetry),
        "their proxy": older(Noop(), registry=CollectorRegistry()),
    }
    for ladder, module in ((OURS, inference), (OLDER, sys.modules[older.__module__])):
        rungs = ladder.rungs(_names(telemetry), module)
        functions |= {f"{ladder.title} {number}": rung for number, rung in enumerate(rungs)}
    return functions


def measured(older: Callable[..., Model], *, calls: int, rounds: int) -> Samples:
    """Return the seconds that each function takes, in each round; they take turns, and the first round warms up."""
    check()
    x = keras.ops.convert_to_tensor(batch())
    with Telemetry(exporters=[InMemoryExporter()]) as telemetry:
        functions = _functions(telemetry, older)
        timers = {name: timeit.Timer("f(x)", globals={"f": function, "x": x}) for name, function in functions.items()}
        samples: Samples = {name: [] for name in timers}
        for number in range(rounds + 1):
            for name, timer in timers.items():
                seconds = timer.timeit(calls) / calls
                samples[name] += [seconds] if number > 0 else []
    return samples


def tables(samples: Samples) -> str:
    """Return, for each call, what every step adds, and what the whole was measured to add."""
    return "\n".join(_table(ladder, samples) for ladder in (OURS, OLDER))


def _table(ladder: Ladder, samples: Samples) -> str:
    def added(one: str, other: str) -> str:
        pairs = zip(samples[one], samples[other], strict=True)
        return f"{1e9 * statistics.median(left - right for left, right in pairs):.0f}"

    rungs = [f"{ladder.title} {number}" for number in range(len(ladder.steps) + 1)]
    steps = zip(ladder.steps, rungs, rungs[1:], strict=False)
    rows = [
        ("a function: `*args`, `**kwargs`", "to take what the model takes", added(rungs[0], "model")),
        *((what, purpose, added(rung, below)) for (what, purpose), below, rung in steps),
        ("what is left", "", added(ladder.measured, rungs[-1])),
        ("**all that is added, as measured**", "", f"**{added(ladder.proxy, 'model')}**"),
    ]
    if ladder.measured != ladder.proxy:
        finding = "from the proxy to the function that measures", "to be the model to all else"
        rows.insert(0, (*finding, added(ladder.proxy, ladder.measured)))
    lines = [f"### {ladder.title}, line by line", "", "| what | what for | added ns |", "|---|---|---:|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), ""])

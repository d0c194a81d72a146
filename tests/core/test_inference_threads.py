"""Many threads and many calls: every count is exact, whatever comes in whatever order."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from calls import (
    BATCH_SIZE,
    DURATION,
    ERRORS,
    IN_FLIGHT,
    LAST,
    Trace,
    Worker,
    buckets,
    echo,
    measured,
    run_together,
    totals,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from gangplank import Telemetry
from gangplank.catalogue import BATCH_SIZE_BOUNDS, CALL_DURATION_BOUNDS
from gangplank.cells import Memory
from gangplank.inference import Inference
from gangplank.testing import InMemoryExporter, ManualClock

_THREADS, _CALLS = 8, 5000


@pytest.fixture
def _frequent_switches() -> Iterator[None]:
    """Threads that take turns so often that they meet in the middle of everything."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def fail(_: object) -> None:
    """Predict nothing."""
    raise LookupError


@pytest.mark.usefixtures("_frequent_switches")
def test_eight_threads_lose_no_count(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """Samples, calls and errors of all of them, while somebody reads all the time, and never less than before."""
    inference = Inference(telemetry, "net")
    predict, broken = measured(inference, echo), measured(inference, fail)
    done: list[bool] = []
    seen = [0]

    def work() -> None:
        for number in range(_CALLS):
            predict([1, 2, 3])
            if number % 10 == 0:
                with pytest.raises(LookupError):
                    broken([1])
        done.append(True)

    def scrape() -> None:
        while len(done) < _THREADS:
            seen.append(sum(buckets(memory, BATCH_SIZE).values()))

    run_together(scrape, *[work] * _THREADS)
    calls = _THREADS * _CALLS
    assert totals(memory)[::2] == (3 * calls, 0)
    assert buckets(memory, BATCH_SIZE) == {4: calls}
    assert buckets(memory, DURATION, error_type="") == {0.0005: calls}
    assert buckets(memory, DURATION, error_type="LookupError") == {0.0005: calls / 10}
    assert memory.value(ERRORS, error_type="LookupError") == calls / 10
    assert memory.value(IN_FLIGHT) == 0
    assert seen == sorted(seen)


@pytest.mark.usefixtures("_frequent_switches")
def test_threads_that_come_and_go_lose_no_count(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """A thread for each request, some at once: what an ended one counted is not another's to begin at 0."""
    predict = measured(Inference(telemetry, "net"), echo)
    for _ in range(50):
        run_together(*[lambda: predict([1, 2])] * 4)
    assert totals(memory)[0] == 400
    assert buckets(memory, BATCH_SIZE) == {2: 200}
    assert memory.value(IN_FLIGHT) == 0


def test_a_call_during_which_the_state_moves(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """As when an exit that processes share is attached: it is not in flight for ever, and the next one counts."""

    def move(batch: list[int]) -> list[int]:
        telemetry.state.keep_in(Memory())
        assert memory.value(IN_FLIGHT) in (0, 1)
        return batch

    inference = Inference(telemetry, "net")
    predict = measured(inference, echo)
    predict([1, 2])
    measured(inference, move)([1])
    assert memory.value(IN_FLIGHT) == 0
    before = totals(memory)[0]
    assert before in (2, 3)
    predict([1, 2])
    assert totals(memory)[0] == before + 2


@dataclass
class Naive:
    """What calls come to, counted one by one in the plainest way."""

    totals: Counter[str] = field(default_factory=Counter)
    durations: dict[tuple[str, str], Counter[float]] = field(default_factory=dict)
    sizes: Counter[float] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    last: float | None = None

    def count(self, method: str, outcome: Outcome, duration: float, ended: float) -> None:
        """Count a call that took so long, and when it ended."""
        if isinstance(outcome, Trace):
            return
        self.last = ended
        self.totals[f"{method} seconds"] += duration  # type: ignore[assignment]  # Counter is typed for integers
        error = "LookupError" if outcome == "error" else ""
        of = self.durations.setdefault((method, error), Counter())
        of[_bucket(CALL_DURATION_BOUNDS, duration)] += 1
        if outcome == "error":
            self.errors[method] += 1
        elif isinstance(outcome, int):
            self.totals[f"{method} samples"] += outcome
            self.sizes[_bucket(BATCH_SIZE_BOUNDS, outcome)] += 1


Outcome = int | float | str | Trace
"""What a call gives: so many samples, an output without a batch axis, an error, or a compiler's stand-in."""

OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.integers(0, 70), st.sampled_from([1, 2, 64, 65, 70_000]), st.sampled_from([0.5, "error", Trace()])
)
# In parts of a second that floating point adds up exactly, in whatever order.
DURATIONS = st.one_of(st.integers(0, 4096), st.integers(0, 400_000), st.sampled_from([1024, 2048, 4096, 245_760])).map(
    lambda parts: parts / 4096
)
CALLS = st.tuples(st.integers(0, 3), st.sampled_from(["predict", "__call__"]), OUTCOMES, DURATIONS, st.booleans())


def _bucket(bounds: tuple[float, ...], value: float) -> float:
    return next((bound for bound in bounds if value <= bound), float("inf"))


@settings(max_examples=100)
@given(st.lists(CALLS, max_size=30))
def test_numbers_are_those_of_counting_one_by_one(calls: list[tuple[int, str, Outcome, float, bool]]) -> None:
    """For any calls, on any threads, which end at any time."""
    clock, memory, naive, workers = ManualClock(4096.0), InMemoryExporter(), Naive(), dict[int, Worker]()

    def model(outcome: Outcome, seconds: float) -> object:
        clock.advance(seconds)
        if outcome == "error":
            raise LookupError
        return [0] * outcome if isinstance(outcome, int) else outcome

    with Telemetry(exporters=[memory], clock=clock) as telemetry:
        inference = Inference(telemetry, "net")
        methods = {name: measured(inference, model, name) for name in ("predict", "__call__")}
        for thread, method, outcome, seconds, is_last in calls:
            if thread not in workers:
                workers[thread] = Worker()
            workers[thread].do(_swallowing(methods[method], outcome, seconds))
            naive.count(method, outcome, seconds, clock.time())
            if is_last:
                workers.pop(thread).end()
        for worker in workers.values():
            worker.end()
    assert_same(memory, naive)


def _swallowing(call: Callable[[Outcome, float], object], outcome: Outcome, seconds: float) -> Callable[[], None]:
    def work() -> None:
        with contextlib.suppress(LookupError):
            call(outcome, seconds)

    return work


def assert_same(memory: InMemoryExporter, naive: Naive) -> None:
    """Compare all that is shown of a model with what it should be."""
    names = [f"{method} {what}" for method in ("predict", "__call__") for what in ("samples", "seconds")]
    assert totals(memory) == tuple(naive.totals[name] for name in names)
    shown = {(labels["method"], labels["error_type"]) for labels, _ in memory.series(DURATION)}
    assert naive.durations.keys() <= shown
    for method, error in shown:
        durations = buckets(memory, DURATION, method=method, error_type=error)
        assert durations == naive.durations.get((method, error), Counter())
    assert buckets(memory, BATCH_SIZE) == naive.sizes
    assert {labels["method"]: count for labels, count in memory.series(ERRORS)} == naive.errors
    assert memory.value(IN_FLIGHT) == 0
    assert memory.value(LAST) == naive.last

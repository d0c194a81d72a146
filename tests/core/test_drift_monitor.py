"""The monitor: a drift function runs beside those who predict, within bounds, and whatever it does stays there."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gangplank import Drift, Telemetry
from gangplank.drift.monitor import MOST_BYTES, MOST_SAMPLES, Monitor
from gangplank.drift_series import DriftSeries
from gangplank.inference import Inference
from gangplank.testing import InMemoryExporter


class Heard:
    """A report that keeps what it hears."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, int]] = []
        self.drifts: list[Drift | None] = []
        self.errors: list[BaseException] = []

    def tested(self, samples: int, drift: Drift | None) -> None:
        """Keep it."""
        self.batches.append(("tested", samples))
        self.drifts.append(drift)

    def dropped(self, samples: int) -> None:
        """Keep it."""
        self.batches.append(("dropped", samples))

    def failed(self, samples: int, error: BaseException) -> None:
        """Keep it."""
        self.batches.append(("failed", samples))
        self.errors.append(error)


class Detector:
    """A drift function that can be held, and tells what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[Any, Any]] = []
        self.threads: set[threading.Thread] = set()
        self.is_at_work = threading.Event()
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self, x: Any, y: Any) -> Drift | None:
        """Find one drift more than the last time."""
        self.threads.add(threading.current_thread())
        self.given.append((x, y))
        self.is_at_work.set()
        self.may_go_on.wait()
        return Drift(len(self.given))


@pytest.fixture
def heard() -> Heard:
    """A report."""
    return Heard()


@pytest.fixture
def detector() -> Iterator[Detector]:
    """A drift function, let go of at the end."""
    detector = Detector()
    yield detector
    detector.may_go_on.set()


@pytest.fixture
def monitor(detector: Detector, heard: Heard) -> Monitor:
    """A monitor of both."""
    return Monitor(detector, heard)


def keeping(x: Any, y: Any) -> Callable[[], tuple[Any, Any]]:
    """Return a function that returns both."""
    return lambda: (x, y)


def hold(monitor: Monitor, detector: Detector) -> None:
    """Have the detector at work on a batch, and nothing waiting."""
    detector.may_go_on.clear()
    monitor.submit(1, 10, lambda: ("held", "held"))
    assert detector.is_at_work.wait(30)


def test_batches_are_tested_in_order_on_one_thread_of_its_own(
    monitor: Monitor, detector: Detector, heard: Heard
) -> None:
    """With the very inputs and predictions, and the thread begins with the first batch."""
    before = threading.active_count()
    Monitor(detector, heard)
    assert threading.active_count() == before
    batches = [([number], object()) for number in range(100)]
    for x, y in batches:
        monitor.submit(3, 8, keeping(x, y))
    monitor.drain(30)
    assert all(
        given is kept
        for pair, given_pair in zip(batches, detector.given, strict=True)
        for kept, given in zip(pair, given_pair, strict=True)
    )
    [thread] = detector.threads
    assert thread is not threading.current_thread()
    assert thread.daemon
    assert heard.batches == [("tested", 3)] * 100
    assert heard.drifts == [Drift(number) for number in range(1, 101)]


def test_those_who_predict_do_not_wait(monitor: Monitor, detector: Detector, heard: Heard) -> None:
    """A batch is taken while the function is at work on another."""
    hold(monitor, detector)
    monitor.submit(2, 10, lambda: ("x", "y"))
    assert heard.batches == []
    detector.may_go_on.set()
    monitor.drain(30)
    assert heard.batches == [("tested", 1), ("tested", 2)]


def test_so_many_samples_wait_and_no_more(monitor: Monitor, detector: Detector, heard: Heard) -> None:
    """What there is no room for is dropped at once, without being copied, and there is room again later."""
    hold(monitor, detector)
    for _ in range(4):
        monitor.submit(MOST_SAMPLES // 4, 1, lambda: ("x", "y"))
    assert heard.batches == []
    monitor.submit(5, 1, lambda: pytest.fail("there was no room for it"))
    assert heard.batches == [("dropped", 5)]
    detector.may_go_on.set()
    monitor.drain(30)
    monitor.submit(7, 1, lambda: ("x", "y"))
    monitor.drain(30)
    assert heard.batches == [("dropped", 5), ("tested", 1), *[("tested", MOST_SAMPLES // 4)] * 4, ("tested", 7)]


def test_a_batch_that_cannot_be_copied_takes_no_room(monitor: Monitor, detector: Detector, heard: Heard) -> None:
    """The fault is the caller's to report; those that come later find the queue as it was."""
    hold(monitor, detector)

    def fail() -> tuple[Any, Any]:
        raise MemoryError

    for _ in range(3):
        with pytest.raises(MemoryError):
            monitor.submit(MOST_SAMPLES, MOST_BYTES, fail)
    monitor.submit(MOST_SAMPLES, MOST_BYTES, lambda: ("x", "y"))
    assert heard.batches == []
    detector.may_go_on.set()
    monitor.drain(30)
    assert heard.batches == [("tested", 1), ("tested", MOST_SAMPLES)]


def test_batches_gather_before_they_are_tested(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread does not wake for each: it would take the interpreter from who predicts."""
    monkeypatch.setattr("gangplank.drift.monitor._PAUSE", 3600.0)
    monitor = Monitor(lambda _x, _y: None, heard)
    for _ in range(3):
        monitor.submit(2, 1, lambda: ("x", "y"))
    assert heard.batches == []
    monitor.drain(30)
    assert heard.batches == [("tested", 2)] * 3


def test_so_many_bytes_wait_and_no_more(monitor: Monitor, detector: Detector, heard: Heard) -> None:
    """A smaller one may still fit where a larger one did not."""
    hold(monitor, detector)
    for samples, size in ((1, MOST_BYTES // 2), (2, MOST_BYTES // 2), (3, 1), (4, 0)):
        monitor.submit(samples, size, lambda: ("x", "y"))
    assert heard.batches == [("dropped", 3)]
    detector.may_go_on.set()
    monitor.drain(30)
    assert heard.batches == [("dropped", 3), ("tested", 1), ("tested", 1), ("tested", 2), ("tested", 4)]


def test_a_single_batch_may_be_larger_than_all_that_may_wait(
    monitor: Monitor, detector: Detector, heard: Heard
) -> None:
    """Else a model with large inputs would never be tested; beside it nothing else waits."""
    hold(monitor, detector)
    monitor.submit(2, MOST_BYTES + 1, lambda: ("x", "y"))
    monitor.submit(3, 1, lambda: ("x", "y"))
    assert heard.batches == [("dropped", 3)]
    detector.may_go_on.set()
    monitor.drain(30)
    assert heard.batches[1:] == [("tested", 1), ("tested", 2)]


def test_a_function_that_fails_goes_on_with_the_next_batch(heard: Heard) -> None:
    """What it raised is told; also what would end its thread, where nobody but the report would ever hear of it."""
    errors = iter([ValueError(), SystemExit(), KeyboardInterrupt(), None])

    def detect(_x: Any, _y: Any) -> Drift | None:
        error = next(errors)
        if error is not None:
            raise error
        return None

    monitor = Monitor(detect, heard)
    for samples in (1, 2, 3, 4):
        monitor.submit(samples, 1, lambda: ("x", "y"))
    monitor.drain(5)
    assert heard.batches == [("failed", 1), ("failed", 2), ("failed", 3), ("tested", 4)]
    assert [type(error) for error in heard.errors] == [ValueError, SystemExit, KeyboardInterrupt]


def test_draining_ends_though_the_function_does_not(monitor: Monitor, detector: Detector, heard: Heard) -> None:
    """What still waits then is dropped; what the function is at work on is told once it is done."""
    hold(monitor, detector)
    for samples in (2, 3):
        monitor.submit(samples, MOST_BYTES // 2, lambda: ("x", "y"))
    monitor.drain(0.01)
    assert heard.batches == [("dropped", 2), ("dropped", 3)]
    for samples in (4, 5):
        monitor.submit(samples, MOST_BYTES // 2, lambda: ("x", "y"))
    assert len(heard.batches) == 2
    detector.may_go_on.set()
    monitor.drain(30)
    assert heard.batches[2:] == [("tested", 1), ("tested", 4), ("tested", 5)]


def test_draining_waits_for_the_batch_at_hand(heard: Heard) -> None:
    """It is not tested before its function has returned."""
    is_at_work, is_drained = threading.Event(), threading.Event()

    def detect(_x: Any, _y: Any) -> Drift | None:
        is_at_work.set()
        is_drained.wait(0.2)  # not longer: it is this that the drain is to wait for
        return None

    monitor = Monitor(detect, heard)
    monitor.submit(1, 1, lambda: ("x", "y"))
    assert is_at_work.wait(30)
    monitor.drain(30)
    is_drained.set()
    assert heard.batches == [("tested", 1)]


def test_draining_what_was_never_used(monitor: Monitor, heard: Heard) -> None:
    """Returns at once."""
    monitor.drain(30)
    assert heard.batches == []


def test_inline_is_here_and_now(monitor: Monitor, detector: Detector, heard: Heard) -> None:
    """On the caller's thread; what the function raises is told, but for what is the host's."""
    x, y = object(), object()
    monitor.run(x, y, 2)
    assert detector.given[0][0] is x
    assert detector.given[0][1] is y
    assert detector.threads == {threading.current_thread()}
    error = ValueError()

    def fail(_x: Any, _y: Any) -> Drift | None:
        raise error

    Monitor(fail, heard).run(x, y, 3)
    assert heard.batches == [("tested", 2), ("failed", 3)]
    assert heard.errors == [error]


def test_ctrl_c_in_an_inline_test_is_the_hosts(heard: Heard) -> None:
    """As anywhere else in predict."""

    def interrupted(_x: Any, _y: Any) -> Drift | None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Monitor(interrupted, heard).run("x", "y", 1)


def test_the_thread_ends_with_its_monitor(detector: Detector, heard: Heard) -> None:
    """Once it has done what waits: a server that loads models anew does not gather threads."""
    monitor = Monitor(detector, heard)
    hold(monitor, detector)
    monitor.submit(2, 1, lambda: ("x", "y"))
    [thread] = detector.threads
    del monitor
    gc.collect()
    detector.may_go_on.set()
    thread.join(30)
    assert not thread.is_alive()
    assert heard.batches == [("tested", 1), ("tested", 2)]


def test_a_thread_that_could_not_begin_begins_with_a_later_batch(
    monitor: Monitor, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is out of threads for a moment is not without a drift test for ever."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with contextlib.suppress(RuntimeError):
            monitor.submit(1, 1, lambda: ("x", "y"))
    monitor.submit(2, 1, lambda: ("x", "y"))
    monitor.drain(5)
    assert ("tested", 2) in heard.batches


def test_what_still_waits_when_a_model_goes_is_not_shown_for_it(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """The last p-value of a model that is gone would stand for ever."""
    model = Inference(telemetry, "net")
    is_at_work, may_go_on = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def detect(_x: Any, _y: Any) -> Drift | None:
        threads.append(threading.current_thread())
        is_at_work.set()
        may_go_on.wait()
        return Drift(1, 0.01, 0.5)

    monitor = Monitor(detect, DriftSeries(telemetry, model.model))
    monitor.submit(2, 1, lambda: ("x", "y"))
    assert is_at_work.wait(30)
    del model, monitor
    may_go_on.set()
    threads[0].join(30)
    assert memory.value("gangplank_predict_drift_samples_total", model="net", result="tested") == 2
    assert memory.value("gangplank_predict_drift_detected_total", model="net") == 1
    assert memory.series("gangplank_predict_drift_p_value") == []

"""A state that is kept where other processes can read it."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from calls import echo, measured

from gangplank import Telemetry
from gangplank.catalogue import metric, model_metric
from gangplank.distribution import Distribution
from gangplank.exporters.multiprocess import segment
from gangplank.exporters.multiprocess.directory import Directory
from gangplank.exporters.multiprocess.storage import SharedStorage, keep_together
from gangplank.inference import Inference
from gangplank.merging import Family, Source, merge
from gangplank.metrics import Phase
from gangplank.state import State

LOSS = model_metric(Phase.TRAIN, "loss")
ELAPSED = metric(Phase.TRAIN, "elapsed_time")
STEPS = metric(Phase.TRAIN, "steps")
DURATION = metric(Phase.TRAIN, "step_duration")
WEIGHTS = metric(Phase.TRAIN, "model_weights")
SAMPLES = metric(Phase.PREDICT, "")


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    """A directory with nothing in it."""
    return Directory(tmp_path / "workers")


def families(source: Source) -> dict[str, Family]:
    """Return what an exit shows of a source."""
    return {family.metric.prometheus_name: family for family in merge([source])}


def total(directory: Directory) -> float:
    """Return how many samples the directory says were predicted."""
    (point,) = families(directory)["gangplank_predict_total"].points
    assert isinstance(point.value, float)
    return point.value


def on_a_thread(function: Callable[[], object]) -> None:
    """Call a function on a thread of its own."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def fill(state: State) -> None:
    """Write a series of each kind."""
    state.gauge(LOSS, model="net").set(0.5)
    state.gauge(LOSS, model="ünï\n").set(-1e300)
    state.gauge(ELAPSED, model="gone").set(float("nan"))
    state.counter(STEPS, model="net").add(3)
    state.histogram(DURATION, model="net").observe(0.1, times=2)
    state.snapshot(WEIGHTS, model="net").set(Distribution((-1.0, 0.0, 1.0), (1, 2, 3, 4), -5.5))


@pytest.mark.parametrize("is_before", [True, False])
def test_the_same_is_shown_wherever_a_state_is_kept(directory: Directory, is_before: bool) -> None:
    """Kept before the first write or after the last, the directory shows what the state itself does."""
    state = State()
    if is_before:
        keep_together(state, directory)
    fill(state)
    in_memory = families(state)
    if not is_before:
        keep_together(state, directory)
    assert families(state) == in_memory
    assert families(directory) == in_memory


def test_handles_write_on_after_the_move(directory: Directory) -> None:
    """Those who have a series need not ask for it again."""
    state = State()
    steps, durations, loss = state.counter(STEPS, model="n"), state.histogram(DURATION, model="n"), None
    steps.add(3)
    durations.observe(0.1)
    loss = state.gauge(LOSS, model="n")
    keep_together(state, directory)
    steps.add(4)
    durations.observe(100)
    loss.set(0.25)
    shown = families(directory)
    assert [shown[name].points[0].value for name in ("gangplank_train_steps_total", "gangplank_train_loss")] == [
        7,
        0.25,
    ]
    value = shown["gangplank_train_step_duration_seconds"].points[0].value
    assert isinstance(value, Distribution)
    assert (value.count, value.sum) == (2, 100.1)


def test_threads_shares_move_with_their_numbers(directory: Directory) -> None:
    """Of threads that are gone, that are there and that are yet to come."""
    telemetry = Telemetry()
    predict = measured(Inference(telemetry, "net"), echo)
    predict([1])
    on_a_thread(lambda: predict([1, 2]))
    keep_together(telemetry.state, directory)
    assert total(directory) == 3
    predict([1, 2, 3])
    on_a_thread(lambda: predict([1, 2, 3, 4]))
    assert total(directory) == 10
    assert families(directory) == families(telemetry.state)
    telemetry.close()


def test_a_call_under_way_does_not_stay_in_flight_for_ever(directory: Directory) -> None:
    """It began where the state was kept before, and ends there."""
    telemetry = Telemetry()
    inference = Inference(telemetry, "net")
    is_in, may_end = threading.Event(), threading.Event()

    def model(samples: list[int]) -> list[int]:
        is_in.set()
        may_end.wait()
        return samples

    thread = threading.Thread(target=measured(inference, model), args=([1],))
    thread.start()
    is_in.wait()
    keep_together(telemetry.state, directory)
    may_end.set()
    thread.join()
    (point,) = families(directory)["gangplank_predict_in_flight"].points
    assert point.value == 0
    telemetry.close()


def test_a_forgotten_series_is_gone_and_its_room_is_used_again(directory: Directory) -> None:
    """As models that come and go have it."""
    state = State()
    keep_together(state, directory)
    for number in range(3):
        loss = state.gauge(LOSS, model="net")
        loss.set(number)
        state.forget(lambda row, _: row == LOSS)
        loss.set(0.5)
        assert "gangplank_train_loss" not in families(directory)
    (path,) = directory.path.glob("*.gangplank")
    assert path.read_bytes().count(b'"loss"') == 1


def test_a_computed_value_is_what_it_is_when_it_is_read(directory: Directory) -> None:
    """Of the process that is scraped: of another, nobody could compute it."""
    state, now = State(), 5.0
    keep_together(state, directory)
    state.gauge(ELAPSED, model="net").follow(lambda: now)
    for now in (5.0, 6.0):
        (point,) = families(directory)["gangplank_train_elapsed_time_seconds"].points
        assert point.value == now


def test_a_value_that_was_set_last_stands(directory: Directory) -> None:
    """Of several processes' or telemetries'."""
    states = [State(), State()]
    for state in states:
        keep_together(state, directory)
    for state, loss in zip((*states, states[0]), (0.1, 0.2, 0.3), strict=True):
        before = time.time()
        while time.time() == before:
            pass
        state.gauge(LOSS, model="net").set(loss)
        assert families(directory)["gangplank_train_loss"].points[0].value == loss
    states[0].gauge(LOSS, model="net").set(float("nan"))
    assert families(directory)["gangplank_train_loss"].points[0].value == 0.2


def test_a_full_file_falls_back_to_memory(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What has no room is seen by its own process alone; all else goes on, and the log says so once."""
    monkeypatch.setattr(segment, "CAPACITY", 4096)
    state = State()
    keep_together(state, directory)
    for number in range(100):
        state.counter(STEPS, model=f"net {number}").add(1)
    (family,) = state.read()
    assert len(family.points) == 100
    shared = len(families(directory)["gangplank_train_steps_total"].points)
    assert 10 < shared < 100
    assert {point.value for point in family.points} == {1}
    assert len(caplog.records) == 1
    assert "full" in caplog.text
    state.forget(lambda _, attributes: attributes["model"] == "net 99")  # nothing to give back


def test_a_directory_that_is_gone_is_trouble_of_telemetry_alone(
    directory: Directory, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody deleted it before the first series; predictions go on, and each of them is counted somewhere."""
    state = State()
    state.keep_in(SharedStorage(directory))
    (directory.path / "lock").unlink()
    directory.path.rmdir()
    for number in range(20):
        state.counter(STEPS, model=f"net {number}").add(1)
    assert len(state.read()[0].points) == 20
    assert [one.levelno for one in caplog.records] == [logging.WARNING]


def test_no_file_and_no_descriptor_is_leaked(directory: Directory) -> None:
    """By telemetries that come and go, and by scrapes."""
    before = descriptors()
    for _ in range(20):
        state = State()
        leave = keep_together(state, directory)
        state.counter(SAMPLES, model="net").add(1)
        assert total(directory)
        leave()
        del state, leave
    assert total(directory) == 20
    assert sorted(path.name for path in directory.path.iterdir()) == ["archive.gangplank", "lock"]
    assert descriptors() == before


def descriptors() -> int:
    """Return how many files this process has open, where that can be told."""
    open_ones = Path("/proc/self/fd")
    gc.collect()
    return len(list(open_ones.iterdir())) if open_ones.is_dir() else 0

"""Runs: what an adapter reports, and what is shown of it, by a clock that is moved by hand."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest

from gangplank import Telemetry, summarize_weights
from gangplank.distribution import Distribution
from gangplank.metrics import Phase
from gangplank.runs import Run
from gangplank.testing import InMemoryExporter, ManualClock
from gangplank.training import TrainingRun

START = 1_700_000_000.0


@pytest.fixture
def run(telemetry: Telemetry) -> TrainingRun:
    """A training run that has just begun."""
    return TrainingRun(telemetry, "net")


def outcomes(memory: InMemoryExporter, phase: str = "train") -> dict[str, float | Distribution]:
    """Return the outcome gauges."""
    return {labels["outcome"]: value for labels, value in memory.series(f"gangplank_{phase}_outcome")}


def only(name: str) -> dict[str, float]:
    """Return outcome gauges of which one is 1."""
    return {each: float(each == name) for each in ("success", "failed", "interrupted", "diverged")}


def test_a_run_that_begins_shows_itself(run: TrainingRun, memory: InMemoryExporter) -> None:
    """Running, with no outcome, no steps, and counters at zero from which a rate can be taken."""
    assert run.is_on
    assert memory.value("gangplank_train_running", model="net") == 1
    assert outcomes(memory) == only("none of them")
    assert memory.value("gangplank_train_steps_total") == 0
    assert memory.value("gangplank_train_nonfinite_total", metric="loss") == 0
    assert memory.value("gangplank_train_last_step_timestamp_seconds") is None
    assert memory.value("gangplank_train_last_completion_timestamp_seconds") is None


def test_elapsed_time_moves_until_the_run_ends(run: TrainingRun, memory: InMemoryExporter, clock: ManualClock) -> None:
    """Without anything being written."""
    clock.advance(1.5)
    assert memory.value("gangplank_train_elapsed_time_seconds") == 1.5
    clock.advance(1)
    run.end()
    clock.advance(1)
    assert memory.value("gangplank_train_elapsed_time_seconds") == 2.5


def test_steps_reported_together_share_the_time(run: TrainingRun, memory: InMemoryExporter, clock: ManualClock) -> None:
    """Keras reports every so many steps where several are executed at once."""
    run.begin_epoch()
    clock.advance(0.25)
    run.step_to(1)
    clock.advance(2)
    run.step_to(5)
    assert memory.value("gangplank_train_steps_total") == 5
    duration = memory.value("gangplank_train_step_duration_seconds")
    assert isinstance(duration, Distribution)
    assert duration.sum == 2.25
    counts = dict(zip(duration.bounds, duration.cumulative, strict=False))
    assert (counts[0.1], counts[0.25], counts[0.5], counts[300]) == (0, 1, 5, 5)
    assert memory.value("gangplank_train_last_step_timestamp_seconds") == START + 2.25


def test_reports_that_were_overtaken_change_nothing(
    run: TrainingRun, memory: InMemoryExporter, clock: ManualClock
) -> None:
    """Hooks may come late and out of order; a step is counted once."""
    run.begin_epoch()
    clock.advance(1)
    run.step_to(3)
    clock.advance(1)
    run.step_to(2)
    run.step_to(3)
    assert memory.value("gangplank_train_steps_total") == 3
    assert memory.value("gangplank_train_last_step_timestamp_seconds") == START + 1
    run.step_to(4)
    duration = memory.value("gangplank_train_step_duration_seconds")
    assert isinstance(duration, Distribution)
    assert (duration.count, duration.sum) == (4, 2.0)


def test_steps_reported_from_many_threads_are_counted_once(run: TrainingRun, memory: InMemoryExporter) -> None:
    """Eight threads race through the same thousand steps."""

    def work() -> None:
        for step in range(1, 1001):
            run.step_to(step)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory.value("gangplank_train_steps_total") == 1000


def test_epochs(run: TrainingRun, memory: InMemoryExporter, clock: ManualClock) -> None:
    """Steps count on, durations are the epoch's own, and validation is no step."""
    for epoch in (1, 2):
        run.begin_epoch()
        clock.advance(1)
        run.step_to(10)
        clock.advance(3 * epoch)
        run.end_epoch(epoch, [("loss", 1 / epoch), ("val_loss", 0.75)])
        clock.advance(100)
    assert memory.value("gangplank_train_epochs_count") == 2
    assert memory.value("gangplank_train_epoch_duration_seconds") == 7
    assert memory.value("gangplank_train_steps_total") == 20
    assert memory.value("gangplank_train_loss", model="net") == 0.5
    assert memory.value("gangplank_train_val_loss") == 0.75
    duration = memory.value("gangplank_train_step_duration_seconds")
    assert isinstance(duration, Distribution)
    assert duration.count == 20
    assert duration.sum == pytest.approx(2.0)


def test_what_ran_is_said(run: TrainingRun, memory: InMemoryExporter) -> None:
    """Parameters, weights, learning rate, versions."""
    run.info(keras="3", backend="numpy", gangplank="1", python="3.11")
    run.parameters(104_202)
    run.learning_rate(0.125)
    run.weights(summarize_weights([np.asarray([-1.0, 0.0, 2.0])], (0.0,)))
    assert memory.value("gangplank_train_info", keras="3", backend="numpy", gangplank="1", python="3.11") == 1
    assert memory.value("gangplank_train_model_parameters_count") == 104_202
    assert memory.value("gangplank_train_learning_rate") == 0.125
    assert memory.value("gangplank_train_model_weights") == Distribution((0.0,), (2, 3), 1.0, -1.0, 2.0)


def test_a_learning_rate_in_the_logs_is_the_learning_rate(run: TrainingRun, memory: InMemoryExporter) -> None:
    """The predecessor's users add it to the logs themselves; it is the same fact under the same name."""
    run.metrics([("learning_rate", 0.25), ("running", 7.0)])
    assert memory.series("gangplank_train_learning_rate") == [({"model": "net"}, 0.25)]
    assert memory.value("gangplank_train_running") == 1
    assert memory.value("gangplank_train_running_metric") == 7


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "success"),
        (ValueError("out of data"), "failed"),
        (MemoryError(), "failed"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(1), "interrupted"),
    ],
)
@pytest.mark.parametrize("phase", [Phase.TRAIN, Phase.TEST])
def test_outcomes(
    telemetry: Telemetry, memory: InMemoryExporter, phase: Phase, error: BaseException | None, outcome: str
) -> None:
    """A failing run is told apart from a finished one; only the first end counts."""
    run = TrainingRun(telemetry, "net") if phase is Phase.TRAIN else Run(telemetry, phase, "net")
    run.end(error)
    run.end(None if error else ValueError())
    assert not run.is_on
    assert outcomes(memory, phase.value) == only(outcome)
    succeeded = memory.value(f"gangplank_{phase.value}_last_success_timestamp_seconds")
    assert succeeded == (START if error is None else None)
    assert memory.value(f"gangplank_{phase.value}_last_completion_timestamp_seconds") == START
    assert memory.value("gangplank_train_running") == (0 if phase is Phase.TRAIN else None)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_a_diverged_run(run: TrainingRun, memory: InMemoryExporter, value: float) -> None:
    """The loss is off the screen, counted, and says how the run ended."""
    run.end_epoch(1, [("loss", 0.5)])
    run.end_epoch(2, [("loss", value), ("accuracy", 0.5)])
    assert memory.value("gangplank_train_loss") is None
    assert memory.value("gangplank_train_accuracy") == 0.5
    assert memory.value("gangplank_train_nonfinite_total", metric="loss") == 1
    run.end()
    assert outcomes(memory) == only("diverged")
    assert memory.value("gangplank_train_last_success_timestamp_seconds") is None


def test_a_loss_that_recovers_is_no_divergence(run: TrainingRun, memory: InMemoryExporter) -> None:
    """What counts is where the run ended; that there was a NaN stays counted."""
    run.end_epoch(1, [("loss", math.nan)])
    run.end_epoch(2, [("loss", 0.5)])
    run.end()
    assert memory.value("gangplank_train_loss") == 0.5
    assert memory.value("gangplank_train_nonfinite_total", metric="loss") == 1
    assert outcomes(memory) == only("success")


def test_another_metric_that_is_not_finite_is_no_divergence(run: TrainingRun, memory: InMemoryExporter) -> None:
    """A ratio may be NaN for a while; it is counted under its exported name."""
    run.end_epoch(1, [("loss", 0.5), ("f1 score", math.nan)])
    run.end()
    assert memory.value("gangplank_train_nonfinite_total", metric="f1_score") == 1
    assert outcomes(memory) == only("success")


def test_weights_that_are_not_finite_are_a_diverged_run(run: TrainingRun, memory: InMemoryExporter) -> None:
    """Even where no loss said so."""
    run.weights(summarize_weights([np.asarray([math.nan, math.inf, 1.0])], (0.0,)))
    run.end()
    assert memory.value("gangplank_train_nonfinite_total", metric="model_weights") == 2
    assert outcomes(memory) == only("diverged")


@pytest.mark.parametrize(
    ("loss", "error", "outcome"),
    [
        (math.nan, None, "diverged"),
        (math.nan, ValueError(), "diverged"),
        (math.nan, KeyboardInterrupt(), "interrupted"),
        (0.5, ValueError(), "failed"),
    ],
)
def test_a_loss_noted_in_the_middle_of_an_epoch(
    run: TrainingRun, memory: InMemoryExporter, loss: float, error: BaseException | None, outcome: str
) -> None:
    """A run cut short by its NaN has diverged; a finite loss of half an epoch is not shown as a whole one's."""
    run.end_epoch(1, [("loss", 0.25)])
    run.note_loss(loss)
    run.end(error)
    assert memory.value("gangplank_train_loss") == (None if math.isnan(loss) else 0.25)
    assert outcomes(memory) == only(outcome)

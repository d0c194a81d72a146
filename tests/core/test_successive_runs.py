"""Run after run: what goes with the old one, what goes on, and what closing does to one that is on."""

from __future__ import annotations

import numpy as np
import pytest

from gangplank import Telemetry, summarize_weights
from gangplank.metrics import Phase
from gangplank.runs import Run
from gangplank.testing import InMemoryExporter, ManualClock
from gangplank.training import TrainingRun

START = 1_700_000_000.0


def train(telemetry: Telemetry, model: str = "net", error: BaseException | None = None) -> TrainingRun:
    """Run to the end."""
    run = TrainingRun(telemetry, model)
    run.info(keras="3", backend="numpy", gangplank="1", python="3.11")
    run.step_to(10)
    run.end_epoch(1, [("loss", 0.5), ("val_loss", 0.75)])
    run.weights(summarize_weights([np.zeros(3)], (0.0,)))
    run.end(error)
    return run


def said(memory: InMemoryExporter, phase: str = "train") -> list[str]:
    """Return the outcomes that are 1."""
    return [labels["outcome"] for labels, value in memory.series(f"gangplank_{phase}_outcome") if value == 1]


def test_a_new_run_takes_the_series_of_the_old_one_away(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """Nothing of the old run passes for the new one's, while counters and the two timestamps go on."""
    train(telemetry)
    run = TrainingRun(telemetry, "net")
    assert memory.names() == {
        "gangplank_train_elapsed_time_seconds",
        "gangplank_train_outcome",
        "gangplank_train_running",
        "gangplank_train_steps_total",
        "gangplank_train_step_duration_seconds",
        "gangplank_train_nonfinite_total",
        "gangplank_train_last_success_timestamp_seconds",
        "gangplank_train_last_completion_timestamp_seconds",
    }
    assert said(memory) == []
    run.step_to(5)
    assert memory.value("gangplank_train_steps_total") == 15
    assert memory.value("gangplank_train_last_success_timestamp_seconds") == START


def test_the_last_success_stands_when_a_later_run_fails(
    telemetry: Telemetry, memory: InMemoryExporter, clock: ManualClock
) -> None:
    """The alert that asks for a success within a day reads it."""
    train(telemetry)
    clock.advance(60)
    train(telemetry, error=ValueError())
    assert said(memory) == ["failed"]
    assert memory.value("gangplank_train_last_success_timestamp_seconds") == START
    assert memory.value("gangplank_train_last_completion_timestamp_seconds") == START + 60
    clock.advance(60)
    train(telemetry)
    assert said(memory) == ["success"]
    assert memory.value("gangplank_train_last_success_timestamp_seconds") == START + 120


def test_other_models_and_phases_are_left_alone(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """A run clears its own model's series of its own phase."""
    train(telemetry, "net")
    train(telemetry, "art")
    evaluation = Run(telemetry, Phase.TEST, "net")
    evaluation.metrics([("loss", 0.25)])
    evaluation.end()
    assert memory.value("gangplank_train_loss", model="net") == 0.5
    assert memory.value("gangplank_train_loss", model="art") == 0.5
    assert memory.value("gangplank_test_loss", model="net") == 0.25
    TrainingRun(telemetry, "net")
    assert memory.value("gangplank_train_loss", model="net") is None
    assert memory.value("gangplank_train_loss", model="art") == 0.5
    assert memory.value("gangplank_test_loss", model="net") == 0.25


def test_a_metric_keeps_its_name_from_run_to_run(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """Whichever of two that clash comes first the second time."""
    TrainingRun(telemetry, "net").metrics([("a_b", 1.0), ("a/b", 2.0)])
    TrainingRun(telemetry, "net").metrics([("a/b", 3.0)])
    assert memory.value("gangplank_train_a_b") is None
    assert memory.value("gangplank_train_a_b_2") == 3


def test_a_run_that_ends_after_the_next_began_changes_nothing_of_it(
    telemetry: Telemetry, memory: InMemoryExporter, clock: ManualClock
) -> None:
    """One that was abandoned is ended late, by the garbage collector, say."""
    abandoned = TrainingRun(telemetry, "net")
    clock.advance(60)
    run = TrainingRun(telemetry, "net")
    clock.advance(5)
    abandoned.end(ValueError())
    assert run.is_on
    assert memory.value("gangplank_train_running") == 1
    assert said(memory) == []
    assert memory.value("gangplank_train_elapsed_time_seconds") == 5


@pytest.mark.parametrize("phase", [Phase.TRAIN, Phase.TEST])
def test_closing_in_the_middle_of_a_run_interrupts_it(
    clock: ManualClock, memory: InMemoryExporter, phase: Phase
) -> None:
    """Nobody will report its end any more; that it was not reached is what is known."""
    telemetry = Telemetry(exporters=[memory], clock=clock)
    telemetry.start()
    run = TrainingRun(telemetry, "net") if phase is Phase.TRAIN else Run(telemetry, phase, "net")
    clock.advance(2)
    telemetry.close()
    assert not run.is_on
    assert said(memory, phase.value) == ["interrupted"]
    assert memory.value(f"gangplank_{phase.value}_elapsed_time_seconds") == 2
    run.end()
    assert said(memory, phase.value) == ["interrupted"]


@pytest.mark.parametrize(("error", "outcome"), [(ValueError("host"), "failed"), (KeyboardInterrupt(), "interrupted")])
def test_a_block_left_by_an_exception_ends_its_runs_with_it(
    clock: ManualClock, memory: InMemoryExporter, error: BaseException, outcome: str
) -> None:
    """Keras calls no hook when fit fails; the block knows."""

    def host() -> None:
        with Telemetry(exporters=[memory], clock=clock) as telemetry:
            TrainingRun(telemetry, "net")
            raise error

    with pytest.raises(type(error)):
        host()
    assert said(memory) == [outcome]
    assert memory.value("gangplank_train_running") == 0


def test_late_reports_after_the_end_do_not_revive_a_run(
    telemetry: Telemetry, memory: InMemoryExporter, clock: ManualClock
) -> None:
    """A hook that was queued may come after the end: the run stays ended."""
    run = train(telemetry)
    clock.advance(5)
    run.step_to(11)
    assert memory.value("gangplank_train_running") == 0
    assert memory.value("gangplank_train_elapsed_time_seconds") == 0
    assert said(memory) == ["success"]


def test_a_run_without_exits_or_a_start_is_no_error(clock: ManualClock) -> None:
    """Whoever only wants to look at the state may."""
    telemetry = Telemetry(clock=clock)
    train(telemetry)
    assert {family.metric.prometheus_name for family in telemetry.state.read()} >= {"gangplank_train_loss"}
    telemetry.close()

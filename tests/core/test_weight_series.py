"""What a run shows of weights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

import gangplank
from gangplank import summarize_weights
from gangplank.distribution import Distribution
from gangplank.metrics import Phase
from gangplank.runs import Run
from gangplank.testing import InMemoryExporter
from gangplank.training import TrainingRun

BOUNDS = (0.0, 1.0)


def array(*values: float) -> npt.NDArray[np.float32]:
    """Return an array of weights."""
    return np.asarray(values, np.float32)


@pytest.mark.parametrize("phase", [Phase.TRAIN, Phase.TEST])
def test_the_whole_model_is_shown(telemetry: gangplank.Telemetry, memory: InMemoryExporter, phase: Phase) -> None:
    """The distribution, and what it does not say."""
    with Run(telemetry, phase, "net") as run:
        run.weights(summarize_weights([array(-3, 0, 3, 4)], BOUNDS))
    prefix = f"gangplank_{phase.value}_model_weights"
    distribution = memory.value(prefix, model="net")
    assert distribution == Distribution(BOUNDS, (2, 2, 4), 4.0, -3.0, 4.0)
    values = {part: memory.value(f"{prefix}_{part}", model="net") for part in ("norm", "mean", "stddev", "min", "max")}
    assert values == pytest.approx(
        {"norm": np.sqrt(34), "mean": 1.0, "stddev": np.std([-3, 0, 3, 4]), "min": -3.0, "max": 4.0}
    )
    assert not [name for name in memory.names() if "layer_weights" in name or "update_ratio" in name]


def test_layers_are_shown_if_that_was_asked_for(telemetry: gangplank.Telemetry, memory: InMemoryExporter) -> None:
    """The largest on their own, the others together, and how many these are."""
    layers = {
        "small": summarize_weights([array(1)], BOUNDS),
        "large": summarize_weights([array(0.5, -2, np.nan)], BOUNDS),
        "tiny": summarize_weights([array(2)], BOUNDS),
    }
    with TrainingRun(telemetry, "net") as run:
        run.weights(layers, most_layers=1)
    assert memory.value("gangplank_train_model_weights", model="net") == Distribution(BOUNDS, (1, 3, 4), 1.5, -2, 2)
    assert memory.value("gangplank_train_layer_weights", model="net", layer="large") == Distribution(
        BOUNDS, (1, 2, 2), -1.5, -2, 0.5
    )
    assert memory.value("gangplank_train_layer_weights", model="net", layer="_other") == Distribution(
        BOUNDS, (0, 1, 2), 3.0, 1, 2
    )
    assert memory.value("gangplank_train_layer_weights_norm", model="net", layer="_other") == pytest.approx(np.sqrt(5))
    assert memory.value("gangplank_train_layer_weights_nonfinite", model="net", layer="large") == 1
    assert memory.value("gangplank_train_layer_weights_nonfinite", model="net", layer="_other") == 0
    assert memory.value("gangplank_train_layer_weights_combined", model="net") == 2
    assert memory.value("gangplank_train_nonfinite_total", model="net", metric="model_weights") == 1
    assert memory.value("gangplank_train_outcome", model="net", outcome="diverged") == 1


def test_what_has_no_value_any_more_is_not_shown(telemetry: gangplank.Telemetry, memory: InMemoryExporter) -> None:
    """An infinite weight leaves no norm: the last good one must not stay on show."""
    run = TrainingRun(telemetry, "net")
    kept = [array(1, 1)]
    run.weights(summarize_weights([array(1, 2)], BOUNDS, before=kept))
    assert memory.value("gangplank_train_model_weights_update_ratio", model="net") == pytest.approx(1 / np.sqrt(2))
    run.weights(summarize_weights([array(np.inf, 2)], BOUNDS, before=kept))
    shown = {name for name in memory.names() if "model_weights_" in name}
    assert shown == {"gangplank_train_model_weights_min"}


def test_weights_that_are_all_nan_have_no_size(telemetry: gangplank.Telemetry, memory: InMemoryExporter) -> None:
    """Neither 0 nor the last good one: a run has diverged, and looks like it."""
    run = TrainingRun(telemetry, "net")
    run.weights({"a": summarize_weights([array(1, 2)], BOUNDS)}, most_layers=1)
    run.weights({"a": summarize_weights([array(np.nan, np.nan)], BOUNDS)}, most_layers=1)
    shown = {name for name in memory.names() if "weights_" in name}
    assert shown == {"gangplank_train_layer_weights_nonfinite", "gangplank_train_layer_weights_combined"}
    assert memory.value("gangplank_train_layer_weights_nonfinite", model="net", layer="a") == 2
    assert memory.value("gangplank_train_model_weights", model="net") == Distribution(BOUNDS, (0, 0, 0), 0.0)


def test_layers_that_are_gone_are_not_shown(telemetry: gangplank.Telemetry, memory: InMemoryExporter) -> None:
    """One that was frozen, or that is now among the others."""
    run = TrainingRun(telemetry, "net")
    one, two = summarize_weights([array(1)], BOUNDS), summarize_weights([array(1, 2)], BOUNDS)
    run.weights({"a": two, "b": one, "c": one}, most_layers=1)
    run.weights({"b": two, "c": one}, most_layers=2)
    for part in ("", "_norm", "_nonfinite"):
        series = memory.series(f"gangplank_train_layer_weights{part}")
        assert {labels["layer"] for labels, _ in series} == {"b", "c"}


def test_without_bounds_there_is_no_distribution(telemetry: gangplank.Telemetry, memory: InMemoryExporter) -> None:
    """A histogram of one bucket would say nothing."""
    with TrainingRun(telemetry, "net") as run:
        run.weights(summarize_weights([array(3, 4)], ()))
    assert memory.value("gangplank_train_model_weights", model="net") is None
    assert memory.value("gangplank_train_model_weights_norm", model="net") == 5.0


def test_weights_that_were_not_compared_leave_the_last_ratio(
    telemetry: gangplank.Telemetry, memory: InMemoryExporter
) -> None:
    """Between the last epoch and the end of the run there is no step: a ratio of 0 would be no news."""
    with TrainingRun(telemetry, "net") as run:
        run.weights(summarize_weights([array(2)], BOUNDS, before=[array(1)]))
        run.weights(summarize_weights([array(2)], BOUNDS))
    assert memory.value("gangplank_train_model_weights_update_ratio", model="net") == 1.0


def test_of_several_processes_the_first_shows_weights(telemetry: gangplank.Telemetry, memory: InMemoryExporter) -> None:
    """They are the same in all; that they are no numbers, each says."""
    with TrainingRun(telemetry, "net", rank=1) as run:
        run.weights({"dense": summarize_weights([array(np.nan)], BOUNDS)}, most_layers=3)
        run.gradients_norm(3.0)
    assert not [name for name in memory.names() if "weights" in name or "gradients" in name]
    assert memory.value("gangplank_train_outcome", model="net", rank="1", outcome="diverged") == 1


def test_a_model_without_weights_is_no_trouble(telemetry: gangplank.Telemetry, memory: InMemoryExporter) -> None:
    """No layers at all, or layers of nothing."""
    with TrainingRun(telemetry, "net") as run:
        run.weights({}, most_layers=3)
        assert memory.value("gangplank_train_model_weights", model="net") is None
        run.weights(summarize_weights([], BOUNDS))
    assert memory.value("gangplank_train_model_weights", model="net") == Distribution(BOUNDS, (0, 0, 0), 0.0)
    assert memory.value("gangplank_train_model_weights_norm", model="net") == 0.0
    assert memory.value("gangplank_export_errors_total", error_type="ZeroDivisionError") is None


def test_what_is_no_summary_is_said_and_not_raised(
    telemetry: gangplank.Telemetry, memory: InMemoryExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """A training loop of one's own goes on."""
    with TrainingRun(telemetry, "net") as run:
        run.weights([1.0, 2.0])  # type: ignore[arg-type]
    assert "report weights" in caplog.text
    assert memory.value("gangplank_train_outcome", model="net", outcome="success") == 1

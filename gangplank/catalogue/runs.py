"""Training and evaluation runs."""

from __future__ import annotations

from gangplank.catalogue.weights import CHANGES, weights
from gangplank.metrics import Kind, Metric, Phase, Union

STEP_DURATION_BOUNDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
"""Seconds. A small model on one GPU takes about a millisecond a step, a large one some minutes."""


def _runs(phase: Phase, what: str) -> tuple[Metric, ...]:
    """Return the rows that training and evaluation share."""
    return (
        Metric(
            phase,
            "elapsed_time",
            Kind.GAUGE,
            f"Time since the {what} run began; fixed once it has ended.",
            unit="s",
            predecessor=True,
        ),
        Metric(
            phase,
            "model_parameters_count",
            Kind.GAUGE,
            "Trainable and non-trainable weights of the model.",
            unit="{parameter}",
            predecessor=True,
        ),
        *weights(phase),
        Metric(
            phase,
            "outcome",
            Kind.GAUGE,
            f"1 for how the last {what} run ended, 0 for the other outcomes; all 0 while it runs.",
            attributes=("model", "outcome"),
        ),
        Metric(
            phase,
            "last_success_timestamp",
            Kind.GAUGE,
            f"Unix time at which {what} last ended in success.",
            unit="s",
            union=Union.GREATEST,
            durable=True,
        ),
        Metric(
            phase,
            "last_completion_timestamp",
            Kind.GAUGE,
            f"Unix time at which {what} last ended, whatever the outcome.",
            unit="s",
            union=Union.GREATEST,
            durable=True,
        ),
        Metric(
            phase,
            "nonfinite",
            Kind.COUNTER,
            "NaN or infinite values seen in a metric; for model_weights, in the weights whenever they are read.",
            unit="{value}",
            attributes=("model", "metric"),
        ),
    )


TRAINING = (
    Metric(
        Phase.TRAIN,
        "epochs_count",
        Kind.GAUGE,
        "Completed epochs, those before initial_epoch included.",
        unit="{epoch}",
        predecessor=True,
    ),
    Metric(
        Phase.TRAIN,
        "epochs_planned",
        Kind.GAUGE,
        "Epochs that the run is to complete, counted as those that are, where that is known; it may end sooner.",
        unit="{epoch}",
    ),
    *_runs(Phase.TRAIN, "training"),
    *CHANGES,
    Metric(
        Phase.TRAIN,
        "learning_rate",
        Kind.GAUGE,
        "The optimizer's learning rate at the end of the last epoch.",
    ),
    Metric(Phase.TRAIN, "steps", Kind.COUNTER, "Optimizer steps (batches) taken.", unit="{step}"),
    Metric(
        Phase.TRAIN,
        "step_duration",
        Kind.HISTOGRAM,
        "Time from the end of one training step to the end of the next, waiting for data included.",
        unit="s",
        bounds=STEP_DURATION_BOUNDS,
    ),
    Metric(
        Phase.TRAIN,
        "epoch_duration",
        Kind.GAUGE,
        "Time that the last epoch took, validation included.",
        unit="s",
    ),
    Metric(
        Phase.TRAIN,
        "last_step_timestamp",
        Kind.GAUGE,
        "Unix time of the last training step: the heartbeat that a stall alert reads.",
        unit="s",
    ),
    Metric(Phase.TRAIN, "running", Kind.GAUGE, "1 while the training run is on, 0 once it has ended."),
    Metric(
        Phase.TRAIN,
        "info",
        Kind.GAUGE,
        "Always 1; its labels say what ran.",
        attributes=("model", "keras", "backend", "gangplank", "python"),
    ),
)

EVALUATION = _runs(Phase.TEST, "evaluation")

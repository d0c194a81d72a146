"""Every metric that Gangplank emits, in one table.

Instruments, exposition, reserved names, the metrics page of the documentation and its tests are made from
:data:`CATALOGUE`.
"""

from __future__ import annotations

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
        Metric(
            phase,
            "model_weights",
            Kind.SNAPSHOT,
            "Distribution of the trainable weights at the end of the run; NaN is in no bucket.",
            predecessor=True,
        ),
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
            "NaN or infinite values seen in a metric; for model_weights, in the weights.",
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
    *_runs(Phase.TRAIN, "training"),
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

CALL_DURATION_BOUNDS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Seconds. A small model called on one sample takes a millisecond, ``predict`` over a data set minutes."""

BATCH_SIZE_BOUNDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0, 16384.0, 65536.0)
"""Samples. Powers of two, as batches are."""

INFERENCE = (
    Metric(
        Phase.PREDICT,
        "",
        Kind.COUNTER,
        "Samples predicted by predict and predict_on_batch.",
        unit="{sample}",
        predecessor=True,
    ),
    Metric(
        Phase.PREDICT,
        "time",
        Kind.COUNTER,
        "Time spent in predict and predict_on_batch, that of calls that failed included and that of drift not.",
        unit="s",
        predecessor=True,
    ),
    Metric(
        Phase.PREDICT,
        "call",
        Kind.COUNTER,
        "Samples predicted by calling the model.",
        unit="{sample}",
        predecessor=True,
    ),
    Metric(
        Phase.PREDICT,
        "call_time",
        Kind.COUNTER,
        "Time spent in calls of the model, those that failed included.",
        unit="s",
        predecessor=True,
    ),
    Metric(
        Phase.PREDICT,
        "duration",
        Kind.HISTOGRAM,
        "Time that a call took; error_type is empty for one that succeeded.",
        unit="s",
        attributes=("model", "method", "error_type"),
        bounds=CALL_DURATION_BOUNDS,
    ),
    Metric(
        Phase.PREDICT,
        "errors",
        Kind.COUNTER,
        "Calls that raised, by the exception's type.",
        unit="{error}",
        attributes=("model", "method", "error_type"),
    ),
    Metric(Phase.PREDICT, "in_flight", Kind.GAUGE, "Calls that are running now.", unit="{call}", union=Union.SUM),
    Metric(
        Phase.PREDICT,
        "batch_size",
        Kind.HISTOGRAM,
        "Samples of a call that succeeded.",
        unit="{sample}",
        bounds=BATCH_SIZE_BOUNDS,
    ),
    Metric(
        Phase.PREDICT,
        "last_timestamp",
        Kind.GAUGE,
        "Unix time at which a call last finished, whatever came of it.",
        unit="s",
        union=Union.GREATEST,
        durable=True,
    ),
    Metric(
        Phase.PREDICT,
        "drift_detected",
        Kind.COUNTER,
        "Drifts that the drift function detected.",
        unit="{detection}",
        predecessor=True,
    ),
    Metric(
        Phase.PREDICT,
        "drift_p_value",
        Kind.GAUGE,
        "The p-value that the drift function gave last.",
        predecessor=True,
    ),
    Metric(
        Phase.PREDICT,
        "drift_test_statistic",
        Kind.GAUGE,
        "The test statistic that the drift function gave last.",
        predecessor=True,
    ),
    Metric(
        Phase.PREDICT,
        "drift_samples",
        Kind.COUNTER,
        "Predicted samples, by what became of their test for drift: tested, dropped for want of room in the queue, "
        "or failed.",
        unit="{sample}",
        attributes=("model", "result"),
    ),
)

EXPORT = (
    Metric(
        Phase.EXPORT,
        "pushes",
        Kind.COUNTER,
        "Pushes to a Pushgateway, one a group, by result.",
        unit="{push}",
        attributes=("result",),
    ),
    Metric(
        Phase.EXPORT,
        "time",
        Kind.COUNTER,
        "Time spent in pushes, off the training thread unless asked otherwise.",
        unit="s",
        attributes=(),
    ),
    Metric(
        Phase.EXPORT,
        "last_success_timestamp",
        Kind.GAUGE,
        "Unix time of the last push that succeeded.",
        unit="s",
        attributes=(),
    ),
    Metric(
        Phase.EXPORT,
        "errors",
        Kind.COUNTER,
        "Errors inside telemetry that were kept from the program it watches.",
        unit="{error}",
        attributes=("error_type",),
    ),
)

CATALOGUE: tuple[Metric, ...] = TRAINING + EVALUATION + INFERENCE + EXPORT

_BY_NAME = {(metric.phase, metric.suffix): metric for metric in CATALOGUE}


def metric(phase: Phase, suffix: str) -> Metric:
    """Return the catalogue's row of that phase and suffix.

    Raises:
        KeyError: the catalogue has no such row.
    """
    return _BY_NAME[phase, suffix]


def find(phase: Phase, suffix: str) -> Metric | None:
    """Return the catalogue's row of that phase and suffix, or None."""
    return _BY_NAME.get((phase, suffix))


def model_metric(phase: Phase, suffix: str) -> Metric:
    """Return a row for one of the model's own metrics (loss, accuracy, ...).

    Args:
        phase: Training or evaluation.
        suffix: The legal, unreserved name that :class:`gangplank.naming.Names` gave it.
    """
    return Metric(phase, suffix, Kind.GAUGE, f"The model's metric {suffix}, as last reported.", predecessor=True)


def reserved_suffixes(phase: Phase) -> frozenset[str]:
    """Return what a model's own metric may not be called in ``phase``, lower-case.

    These are the names of the catalogue behind ``gangplank_<phase>_``, as OpenTelemetry and as Prometheus have
    them, and the series into which histograms are taken apart.
    """
    prefix = f"gangplank_{phase.value}_"
    names: set[str] = set()
    for row in CATALOGUE:
        if row.phase is not phase:
            continue
        names |= {row.name, row.prometheus_name}
        if row.kind in (Kind.HISTOGRAM, Kind.SNAPSHOT):
            names |= {
                f"{base}_{part}" for base in (row.name, row.prometheus_name) for part in ("bucket", "count", "sum")
            }
    return frozenset(name.removeprefix(prefix) for name in names)

"""Which line of which chart a metric is."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from gangplank.catalogue import find, metric
from gangplank.cells import Labels
from gangplank.metrics import Kind, Metric, Phase

_VALIDATION = "val_"
_LOSS = "loss"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart.

    Attributes:
        section: The part of the page that the chart is in.
        chart: The chart's title.
        name: What the line is called among those of its chart.
        metric: The Prometheus name of what it is made from.
        unit: ``"s"``, ``"/s"``, or empty.
        order: The place of the chart in its section.
    """

    section: str
    chart: str
    name: str
    metric: str
    unit: str = ""
    order: int = 0


@dataclass(frozen=True, slots=True)
class Subject:
    """What series are about: a model, and what else tells them from other series of that model.

    Attributes:
        model: The model's name.
        labels: The rank of a distributed run, and the labels that all series of a telemetry have.
    """

    model: str
    labels: Labels = ()


@functools.lru_cache(maxsize=4096)
def subject_of(row: Metric, labels: Labels) -> Subject | None:
    """Return what a series is about, or None if that is no model."""
    others = tuple(pair for pair in labels if pair[0] not in (*row.attributes, "detector"))
    model = dict(labels).get("model") if "model" in row.attributes else None
    return None if model is None else Subject(model, others)


EPOCHS = metric(Phase.TRAIN, "epochs_count")
STEP_DURATION = metric(Phase.TRAIN, "step_duration")
WEIGHTS = metric(Phase.TRAIN, "model_weights")
EPOCHS_LINE = Line("axis", "epochs", "epochs", EPOCHS.prometheus_name)
STEP_LINE = Line("training", "Step time", "mean", STEP_DURATION.prometheus_name, "s", 4)

_TRAINING = {
    "learning_rate": ("training", "Learning rate", 3),
    "model_weights_norm": ("weights", "Norm of the weights", 0),
    "model_weights_update_ratio": ("weights", "Change of the weights, by their norm", 1),
    "model_gradients_norm": ("weights", "Norm of the gradients", 2),
}


@functools.lru_cache(maxsize=4096)
def of_training(row: Metric) -> Line | None:
    """Return the line of a gauge of training, or None if it is not drawn."""
    if row.phase is not Phase.TRAIN or row.kind is not Kind.GAUGE:
        return None
    if find(row.phase, row.suffix) is None:
        chart = row.suffix.removeprefix(_VALIDATION)
        name = "training" if chart == row.suffix else "validation"
        return Line("training", chart, name, row.prometheus_name, order=0 if chart == _LOSS else 1)
    if row.suffix not in _TRAINING:
        return None
    section, chart, order = _TRAINING[row.suffix]
    return Line(section, chart, chart.lower(), row.prometheus_name, order=order)


def is_of_epochs(row: Metric) -> bool:
    """Whether a metric is looked at when an epoch ends."""
    return row in (EPOCHS, STEP_DURATION, WEIGHTS) or of_training(row) is not None


DURATION = metric(Phase.PREDICT, "duration")
IN_FLIGHT = metric(Phase.PREDICT, "in_flight")
SAMPLES = (metric(Phase.PREDICT, ""), metric(Phase.PREDICT, "call"))
CALLS_LINE = Line("inference", "Calls a second", "all", DURATION.prometheus_name, "/s")
FAILED_LINE = Line("inference", "Calls a second", "failed", DURATION.prometheus_name, "/s")
ERROR_SHARE_LINE = Line("inference", "Share of calls that fail", "failed", DURATION.prometheus_name, "%", 1)
LATENCY_LINES = {
    share: Line("inference", "Latency", name, DURATION.prometheus_name, "s", 2)
    for share, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
}
SAMPLES_LINE = Line("inference", "Samples a second", "predicted", SAMPLES[0].prometheus_name, "/s", 4)
IN_FLIGHT_LINE = Line("inference", "Calls in flight", "in flight", IN_FLIGHT.prometheus_name, order=3)

DETECTED = metric(Phase.PREDICT, "drift_detected")
_DRIFT = {
    "drift_test_statistic": "test statistic",
    "drift_threshold": "threshold",
    "drift_p_value": "p-value",
    "drift_detected": "detections",
}


@functools.lru_cache(maxsize=4096)
def of_drift(row: Metric, labels: Labels) -> Line | None:
    """Return the line of a series of drift, or None if it is not drawn."""
    name = _DRIFT.get(row.suffix) if row.phase is Phase.PREDICT else None
    if name is None:
        return None
    chart = dict(labels).get("detector", "drift function")
    if name == "p-value":
        return Line("drift", f"{chart}: p-value", name, row.prometheus_name, order=1)
    return Line("drift", chart, name, row.prometheus_name)

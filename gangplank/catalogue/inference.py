"""Inference."""

from __future__ import annotations

from gangplank.catalogue.drift import DRIFT
from gangplank.metrics import Kind, Metric, Phase, Union

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
    *DRIFT,
)

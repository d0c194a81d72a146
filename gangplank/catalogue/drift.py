"""Drift in what a model is given and what it predicts."""

from __future__ import annotations

from gangplank.metrics import Kind, Metric, Phase

_OF_DETECTOR = ("model", "detector")

DRIFT = (
    Metric(
        Phase.PREDICT,
        "drift_detected",
        Kind.COUNTER,
        "Drifts that were detected.",
        unit="{detection}",
        predecessor=True,
    ),
    Metric(
        Phase.PREDICT,
        "drift_p_value",
        Kind.GAUGE,
        "The p-value that the detector or the drift function gave last.",
        predecessor=True,
    ),
    Metric(
        Phase.PREDICT,
        "drift_test_statistic",
        Kind.GAUGE,
        "The test statistic that the detector or the drift function gave last.",
        predecessor=True,
    ),
    Metric(
        Phase.PREDICT,
        "drift_samples",
        Kind.COUNTER,
        "Predicted samples, by what became of their test for drift: tested, skipped for values that are not finite, "
        "dropped for want of room in the queue, or failed.",
        unit="{sample}",
        attributes=("model", "result"),
    ),
    Metric(
        Phase.PREDICT,
        "drift_time",
        Kind.COUNTER,
        "Time spent testing for drift, beside those who predict unless asked otherwise.",
        unit="s",
    ),
    Metric(
        Phase.PREDICT,
        "drift_observations",
        Kind.COUNTER,
        "Observations that a detector has looked at.",
        unit="{observation}",
        attributes=_OF_DETECTOR,
    ),
    Metric(
        Phase.PREDICT,
        "drift_threshold",
        Kind.GAUGE,
        "What a detector's test statistic must exceed for a drift to be detected.",
        attributes=_OF_DETECTOR,
    ),
    Metric(
        Phase.PREDICT,
        "drift_window_fill",
        Kind.GAUGE,
        "How much of a detector's window is filled, from 0 to 1; after a detection it begins anew.",
        attributes=_OF_DETECTOR,
    ),
    Metric(
        Phase.PREDICT,
        "drift_expected_run_time",
        Kind.GAUGE,
        "Mean number of observations between false alarms that a detector is calibrated to.",
        unit="{observation}",
        attributes=_OF_DETECTOR,
    ),
    Metric(
        Phase.PREDICT,
        "drift_reference_matches",
        Kind.GAUGE,
        "1 if a detector's reference was captured with the very weights that the model has, 0 if with others.",
        attributes=_OF_DETECTOR,
    ),
)

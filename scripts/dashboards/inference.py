"""Inference, and drift."""

from __future__ import annotations

from dashboards.panels import Dashboard, Look, Panel, Query, about, gauge, quantiles, rate, series, since
from gangplank.metrics import Phase

_PREDICT = Phase.PREDICT
_METHOD = "{{job}} {{model}} {{method}}"
_DETECTOR = "{{job}} {{model}} {{detector}}"
_BY_DETECTOR = "job, model, detector"
_CALLS = rate(_PREDICT, "duration", part="_count")
_FAILED = rate(_PREDICT, "duration", 'error_type!=""', part="_count")
_TESTED = rate(_PREDICT, "drift_samples", 'result="tested"', by=_BY_DETECTOR)


def _recorded(name: str) -> str:
    """Return a selector of what a recording rule has left."""
    return f'{name}{{job=~"$job", model=~"$model"}}'


_FAILED_RATIO = _recorded("gangplank_predict:calls_failed:ratio_rate1h")
_LATE_RATIO = _recorded("gangplank_predict:calls_late:ratio_rate1h")

_STATES = (
    Panel("Calls per second", "All methods.", (Query(_CALLS),), "reqps", Look.NUMBERS, 4),
    Panel(
        "Calls that fail",
        "Share of calls that raise an exception. Red from 1 %, whatever the objective is.",
        (Query(f"({_FAILED} or 0 * {_CALLS}) / {_CALLS}"),),
        "percentunit",
        Look.NUMBERS,
        4,
        red_from=0.01,
    ),
    Panel(
        "Late calls",
        "Share of calls that take longer than the objective says, over an hour. It is recorded by the rules of "
        "`gangplank rules`.",
        (Query(_LATE_RATIO),),
        "percentunit",
        Look.NUMBERS,
        4,
        red_from=0.01,
    ),
    Panel(
        "99 % take at most",
        "Of calls that succeed.",
        quantiles(_PREDICT, "duration", 'error_type=""', legend="{{job}} {{model}}")[2:],
        "s",
        Look.NUMBERS,
        4,
    ),
    Panel(
        "Calls in flight",
        about(_PREDICT, "in_flight"),
        (Query(f"sum by (job, model) ({series(_PREDICT, 'in_flight')})"),),
        look=Look.NUMBERS,
        width=4,
    ),
    Panel(
        "Since the last call",
        "Whatever came of it.",
        (Query(since(_PREDICT, "last_timestamp")),),
        "s",
        Look.NUMBERS,
        4,
    ),
)
_CALLED = (
    Panel(
        "Calls per second, by method",
        "Calls that failed included.",
        (Query(rate(_PREDICT, "duration", by="job, model, method", part="_count"), _METHOD),),
        "reqps",
    ),
    Panel(
        "Errors per second, by type",
        about(_PREDICT, "errors"),
        (
            Query(
                rate(_PREDICT, "errors", by="job, model, method, error_type"),
                "{{job}} {{model}} {{method}} {{error_type}}",
            ),
        ),
        "ops",
    ),
    Panel(
        "Time of a call that succeeds",
        about(_PREDICT, "duration"),
        quantiles(_PREDICT, "duration", 'error_type=""', by="job, model, method", legend=_METHOD),
        "s",
    ),
    Panel(
        "Times of calls",
        "How many take how long.",
        (Query(rate(_PREDICT, "duration", 'error_type=""', by="le", part="_bucket"), "{{le}}"),),
        "s",
        Look.HEATMAP,
    ),
    Panel(
        "How fast the budget of errors is spent",
        "How many times faster than the objective allows calls fail, or are late. At 14.4, what is allowed for a month "
        "is gone in two days, and PredictErrors or PredictLatency is critical. It is recorded by the rules.",
        tuple(
            Query(
                f"{name} / on () group_left () gangplank_predict:budget:ratio",
                f"{{{{job}}}} {{{{model}}}} {what}",
            )
            for what, name in (
                ("failed", f"({_FAILED_RATIO} or 0 * {_LATE_RATIO})"),  # of none that failed there is no series
                ("late", _LATE_RATIO),
            )
        ),
        red_from=14.4,
    ),
    Panel(
        "Calls in flight, over time",
        about(_PREDICT, "in_flight"),
        (Query(f"sum by (job, model) ({series(_PREDICT, 'in_flight')})"),),
    ),
)
_SAMPLES = (
    Panel(
        "Samples per second",
        "Predicted by predict and predict_on_batch, and by calling the model.",
        (
            Query(rate(_PREDICT, ""), "{{job}} {{model}} predicted"),
            Query(rate(_PREDICT, "call"), "{{job}} {{model}} called"),
        ),
        width=8,
    ),
    Panel(
        "Time per sample",
        "What a sample costs; the larger the batches, the less.",
        (
            Query(f"{rate(_PREDICT, 'time')} / {rate(_PREDICT, '')}", "{{job}} {{model}} predicted"),
            Query(f"{rate(_PREDICT, 'call_time')} / {rate(_PREDICT, 'call')}", "{{job}} {{model}} called"),
        ),
        "s",
        width=8,
    ),
    Panel(
        "Samples of a call",
        about(_PREDICT, "batch_size"),
        quantiles(_PREDICT, "batch_size", legend="{{job}} {{model}}"),
        width=8,
    ),
)

INFERENCE = Dashboard(
    "inference",
    "Gangplank / Inference",
    "Predictions of Keras models: how many, how fast, how many fail, and in what batches.",
    'label_values(gangplank_predict_in_flight{job=~"$job"}, model)',
    {"How it stands": _STATES, "Calls": _CALLED, "Samples": _SAMPLES},
)

_DRIFT_STATES = (
    Panel(
        "Drifts detected",
        "Within the time that is shown. Without drift there are some all the same: see how many are expected.",
        (
            Query(
                f"sum by ({_BY_DETECTOR}) (increase({series(_PREDICT, 'drift_detected')}[$__range]))",
                _DETECTOR,
            ),
        ),
        look=Look.NUMBERS,
        width=6,
    ),
    Panel(
        "False alarms to expect",
        "Within the time that is shown: observations, by the run time that a detector is calibrated to.",
        (
            Query(
                f"sum by ({_BY_DETECTOR}) (increase({series(_PREDICT, 'drift_observations')}[$__range]))"
                f" / {gauge(_PREDICT, 'drift_expected_run_time', _BY_DETECTOR)}",
                _DETECTOR,
            ),
        ),
        look=Look.NUMBERS,
        width=6,
    ),
    Panel(
        "Statistic, by its threshold",
        "Above 1 is a detection, after which the detector begins anew.",
        (
            Query(
                f"{gauge(_PREDICT, 'drift_test_statistic', _BY_DETECTOR)}"
                f" / {gauge(_PREDICT, 'drift_threshold', _BY_DETECTOR)}",
                _DETECTOR,
            ),
        ),
        "percentunit",
        Look.NUMBERS,
        6,
        red_from=1,
    ),
    Panel(
        "Samples that are not tested",
        "Share of samples that are dropped, skipped or failed. Above a half, drift goes unseen.",
        (
            Query(
                f"1 - {_TESTED} / {rate(_PREDICT, 'drift_samples', by=_BY_DETECTOR)}",
                _DETECTOR,
            ),
        ),
        "percentunit",
        Look.NUMBERS,
        6,
        red_from=0.5,
    ),
)
_FOUND = (
    Panel(
        "Detections",
        about(_PREDICT, "drift_detected"),
        (
            Query(
                f"sum by ({_BY_DETECTOR}) (increase({series(_PREDICT, 'drift_detected')}[$__rate_interval]))", _DETECTOR
            ),
        ),
    ),
    Panel(
        "Statistic and threshold",
        "A detector's test statistic, and what it must exceed.",
        (
            Query(gauge(_PREDICT, "drift_test_statistic", _BY_DETECTOR), f"{_DETECTOR} statistic"),
            Query(gauge(_PREDICT, "drift_threshold", _BY_DETECTOR), f"{_DETECTOR} threshold"),
        ),
    ),
    Panel(
        "p-value",
        about(_PREDICT, "drift_p_value"),
        (Query(f"min by ({_BY_DETECTOR}) ({series(_PREDICT, 'drift_p_value')})", _DETECTOR),),
    ),
    Panel(
        "Window filled",
        about(_PREDICT, "drift_window_fill"),
        (Query(gauge(_PREDICT, "drift_window_fill", _BY_DETECTOR), _DETECTOR),),
        "percentunit",
    ),
)
_WORK = (
    Panel(
        "Samples per second, by what became of them",
        about(_PREDICT, "drift_samples"),
        (
            Query(
                rate(_PREDICT, "drift_samples", by=f"{_BY_DETECTOR}, result"),
                "{{job}} {{model}} {{detector}} {{result}}",
            ),
        ),
        width=8,
    ),
    Panel(
        "Observations per second",
        about(_PREDICT, "drift_observations"),
        (Query(rate(_PREDICT, "drift_observations", by=_BY_DETECTOR), _DETECTOR),),
        width=8,
    ),
    Panel(
        "Time spent testing, per second",
        about(_PREDICT, "drift_time"),
        (Query(rate(_PREDICT, "drift_time", by=_BY_DETECTOR), _DETECTOR),),
        "percentunit",
        width=8,
    ),
)

DRIFT = Dashboard(
    "drift",
    "Gangplank / Drift",
    "Drift in what Keras models are given and what they predict: what detectors found, and whether they could look.",
    'label_values(gangplank_predict_drift_samples_total{job=~"$job"}, model)',
    {"How it stands": _DRIFT_STATES, "What was found": _FOUND, "What it takes": _WORK},
)

"""How telemetry itself is doing."""

from __future__ import annotations

from dashboards.panels import Dashboard, Look, Panel, Query, about, gauge, rate, series, since
from gangplank.metrics import Phase

_EXPORT = Phase.EXPORT
_PUSHES = rate(_EXPORT, "pushes", by="job")
_FAILED = rate(_EXPORT, "pushes", 'result="failure"', by="job")

_STATES = (
    Panel(
        "Since the last push that succeeded",
        "As the process says. The export's own numbers are pushed every 15 seconds at the most.",
        (Query(since(_EXPORT, "last_success_timestamp", "job"), "{{job}}"),),
        "s",
        Look.NUMBERS,
        6,
    ),
    Panel(
        "Pushes that fail",
        "Share of pushes.",
        (Query(f"{_FAILED} / {_PUSHES}", "{{job}}"),),
        "percentunit",
        Look.NUMBERS,
        6,
        red_from=0.5,
    ),
    Panel(
        "Errors",
        "Inside telemetry, within the time that is shown; the program that it watches did not see them, its log did.",
        (Query(f"sum by (job) (increase({series(_EXPORT, 'errors')}[$__range]))", "{{job}}"),),
        look=Look.NUMBERS,
        width=6,
        red_from=1,
    ),
    Panel(
        "Groups that were refused last",
        "Groups of which the Pushgateway refused the last push, by its own account.",
        (
            Query(
                'count by (job) (push_failure_time_seconds{job=~"$job"} > push_time_seconds{job=~"$job"})'
                ' or 0 * count by (job) (push_time_seconds{job=~"$job"})',
                "{{job}}",
            ),
        ),
        look=Look.NUMBERS,
        width=6,
        red_from=1,
    ),
)
_OVER_TIME = (
    Panel(
        "Pushes per second, by result",
        about(_EXPORT, "pushes"),
        (Query(rate(_EXPORT, "pushes", by="job, result"), "{{job}} {{result}}"),),
        "ops",
    ),
    Panel(
        "Errors, by type",
        about(_EXPORT, "errors"),
        (
            Query(
                f"sum by (job, error_type) (increase({series(_EXPORT, 'errors')}[$__rate_interval]))",
                "{{job}} {{error_type}}",
            ),
        ),
    ),
    Panel(
        "Since a group was pushed",
        "By the Pushgateway's account. Groups that nobody pushes to any more stand until they are deleted.",
        (Query('time() - max by (job, phase) (push_time_seconds{job=~"$job"})', "{{job}} {{phase}}"),),
        "s",
    ),
    Panel(
        "Targets that answer",
        "1 for a target that Prometheus could scrape, of jobs with metrics of Gangplank's.",
        (Query('min by (job, instance) (up{job=~"$job"})', "{{job}} {{instance}}"),),
    ),
)
_COST = (
    Panel(
        "Time spent pushing, per second",
        about(_EXPORT, "time"),
        (Query(rate(_EXPORT, "time", by="job"), "{{job}}"),),
        "percentunit",
        width=8,
    ),
    Panel(
        "Time spent reading weights, per second",
        about(Phase.TRAIN, "model_weights_time"),
        (Query(rate(Phase.TRAIN, "model_weights_time", by="job"), "{{job}}"),),
        "percentunit",
        width=8,
    ),
    Panel(
        "What runs",
        "Versions, of the last training run of each model.",
        (Query(gauge(Phase.TRAIN, "info", "job, model, keras, backend, gangplank, python"), ""),),
        look=Look.LABELS,
        width=8,
    ),
)

TELEMETRY = Dashboard(
    "telemetry",
    "Gangplank / Telemetry health",
    "Whether what Gangplank measures arrives, what keeps it from arriving, and what measuring costs.",
    'label_values(gangplank_train_info{job=~"$job"}, model)',
    {"How it stands": _STATES, "Delivery": _OVER_TIME, "Cost and versions": _COST},
)

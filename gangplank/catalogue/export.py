"""How exporting itself is doing."""

from __future__ import annotations

from gangplank.metrics import Kind, Metric, Phase

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

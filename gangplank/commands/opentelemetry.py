"""Whether OpenTelemetry's environment variables will have an effect."""

from __future__ import annotations

import os
from importlib.metadata import entry_points

from gangplank.commands.report import Report, Verdict

_EXPORTER = "OTEL_METRICS_EXPORTER"


def check(report: Report) -> list[str]:
    """Report on them, and return the exporters of metrics that they name."""
    report.title("OpenTelemetry")
    named = [name.strip() for name in os.environ.get(_EXPORTER, "").split(",") if name.strip()]
    if not named:
        report.finding(Verdict.NOTE, f"{_EXPORTER} is not set: only what the program's code sets up is exported")
        return []
    report.setting("exporters", ", ".join(named), _EXPORTER)
    for name in named:
        _check_exporter(name, report)
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        report.finding(Verdict.WRONG, "OTEL_SDK_DISABLED is true: nothing is exported")
    if os.environ.get("OTEL_CONFIG_FILE"):
        report.finding(Verdict.NOTE, f"OTEL_CONFIG_FILE is set: {_EXPORTER} may be ignored for what that file says")
    if not entry_points(group="opentelemetry_configurator"):
        report.finding(
            Verdict.WRONG,
            "nothing sets the SDK up: opentelemetry-instrument would export nothing, and not say so; "
            "pip install opentelemetry-distro",
        )
    return named


def _otlp() -> str:
    """Return the exporter that the SDK takes for ``otlp``."""
    variables = ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = next((os.environ[one] for one in variables if os.environ.get(one)), "grpc")
    return f"otlp_proto_{protocol.partition('/')[0]}"


def _check_exporter(name: str, report: Report) -> None:
    if name == "none":
        return
    if name == "otlp":
        name = _otlp()
    found = list(entry_points(group="opentelemetry_metrics_exporter", name=name))
    if not found:
        known = sorted({"otlp", "none", *entry_points(group="opentelemetry_metrics_exporter").names})
        report.finding(Verdict.WRONG, f"{_EXPORTER}: no installed package has {name!r}; there are {', '.join(known)}")
        return
    try:
        found[0].load()
    except Exception as error:  # noqa: BLE001 - whatever an exporter's package raises when it is imported
        report.finding(Verdict.WRONG, f"{_EXPORTER}: {name!r} cannot be loaded: {error}")

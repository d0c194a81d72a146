"""What would be pushed, shown and not sent."""

from __future__ import annotations

import gzip
from collections.abc import Callable

from gangplank.commands.report import Report
from gangplank.exporters.pushgateway import PushgatewayExporter
from gangplank.exporters.pushgateway.address import without_credentials
from gangplank.exporters.pushgateway.settings import Settings
from gangplank.runs import TrainingRun
from gangplank.telemetry import Telemetry

_Headers = list[tuple[str, str]]


def show(settings: Settings, report: Report) -> None:
    """Show what a telemetry pushes of a small run: the real thing, up to the handler that would send it."""
    report.title("Dry run: what the end of a training run would push, with example values; nothing is sent")
    telemetry = Telemetry(exporters=[_exporter(settings)])
    run = TrainingRun(telemetry, "example")
    run.begin_epoch()
    run.step_to(1)
    run.end_epoch(1, [("loss", 0.5)])
    run.end()
    telemetry.start()
    telemetry.close()


def _exporter(settings: Settings) -> PushgatewayExporter:
    hidden = [*settings.headers]
    if settings.username is not None or settings.bearer_token is not None:
        hidden.append("Authorization")

    def handler(*, url: str, method: str, headers: _Headers, data: bytes, **_: object) -> Callable[[], None]:
        return lambda: _show_request(method, url, [*headers, *((name, "(not shown)") for name in hidden)], data)

    return PushgatewayExporter(
        settings.address, settings.job or "example", handler=handler, delete_delay=0.0, handle_sigterm=False
    )


def _show_request(method: str, url: str, headers: _Headers, data: bytes) -> None:
    print(f"\n  {method} {without_credentials(url)}")
    for name, value in headers:
        print(f"  {name}: {value}")
    body = gzip.decompress(data) if ("Content-Encoding", "gzip") in headers else data
    print("".join(f"\n    {line}" for line in body.decode().splitlines()))

"""What would be pushed, shown and not sent."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, replace

from gangplank.commands.report import Report, Verdict
from gangplank.exporters.pushgateway.address import without_credentials
from gangplank.exporters.pushgateway.feed import StateFeed
from gangplank.exporters.pushgateway.gateway import Gateway
from gangplank.exporters.pushgateway.pusher import Pusher
from gangplank.exporters.pushgateway.settings import Settings
from gangplank.state import State
from gangplank.telemetry import Telemetry
from gangplank.training import TrainingRun
from gangplank.trouble import Trouble

_Headers = list[tuple[str, str]]


def show(settings: Settings, report: Report, *, of_reader: bool) -> None:
    """Show what is pushed of a small run: the real thing, up to the handler that would send it.

    Args:
        settings: Where to, and how.
        report: Where it is shown.
        of_reader: OpenTelemetry pushes.
    """
    report.title("Dry run: what the end of a training run would push, with example values; nothing is sent")
    requests: list[_Request] = []
    telemetry = Telemetry(exporters=[_Noting(settings, settings.method if of_reader else "POST", requests)])
    run = TrainingRun(telemetry, "example")
    run.begin_epoch()
    run.step_to(1)
    run.end_epoch(1, [("loss", 0.5)])
    run.end()
    telemetry.start()
    telemetry.close()
    for request in requests:
        _show_request(request, settings)
    if of_reader:
        report.finding(
            Verdict.NOTE, "what the program itself measures with OpenTelemetry would go with the last of them"
        )


@dataclass
class _Request:
    method: str
    url: str
    headers: _Headers
    body: bytes


@dataclass
class _Noting:
    """An exit that takes down what it would send."""

    settings: Settings
    method: str
    requests: list[_Request]

    def start(self, state: State, trouble: Trouble) -> Pusher:
        """Start it."""
        settings = replace(self.settings, delete_delay=0.0)
        gateway = Gateway(settings, settings.job or "example", self._handler)
        return Pusher(gateway, StateFeed(state, self.method), state, trouble)

    def _handler(self, *, url: str, method: str, headers: _Headers, data: bytes, **_: object) -> Callable[[], None]:
        return lambda: self.requests.append(_Request(method, url, headers, data))


def _show_request(request: _Request, settings: Settings) -> None:
    hidden = [*settings.headers]
    if settings.username is not None or settings.bearer_token is not None:
        hidden.append("Authorization")
    print(f"\n  {request.method} {without_credentials(request.url)}")
    for name, value in [*request.headers, *((name, "(not shown)") for name in hidden)]:
        print(f"  {name}: {value}")
    is_packed = ("Content-Encoding", "gzip") in request.headers
    body = gzip.decompress(request.body) if is_packed else request.body
    print("".join(f"\n    {line}" for line in body.decode().splitlines()))

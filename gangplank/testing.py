"""What the tests of a program that uses Gangplank need: an exporter to look into, a gateway, and a clock.

Gangplank's own tests are built on these.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from gangplank.distribution import Distribution
from gangplank.merging import Family
from gangplank.state import State
from gangplank.trouble import Trouble


class InMemoryExporter:
    """An exit that can be looked into.

    Example:
        >>> from gangplank import Telemetry
        >>> from gangplank.testing import InMemoryExporter
        >>> exporter = InMemoryExporter()
        >>> with Telemetry(exporters=[exporter]):
        ...     exporter.value("gangplank_train_loss", model="net") is None
        True
    """

    def __init__(self) -> None:
        self.notifications = 0
        """How often there was something worth exporting."""
        self._state: State | None = None

    def start(self, state: State, trouble: Trouble) -> InMemoryExporter:  # noqa: ARG002 - nothing can go wrong
        """Look at ``state`` from now on."""
        self._state = state
        return self

    def notify(self) -> None:
        """Count the notification."""
        self.notifications += 1

    def flush(self, timeout: float) -> None:
        """Do nothing: there is nowhere to deliver to."""

    def begin_close(self) -> None:
        """Do nothing, as ``close``."""

    def close(self, timeout: float) -> None:
        """Do nothing: what was seen last can still be looked at."""

    def names(self) -> set[str]:
        """Return the Prometheus names of all metrics that have a value now."""
        return {family.metric.prometheus_name for family in self._read()}

    def series(self, name: str) -> list[tuple[dict[str, str], float | Distribution]]:
        """Return the labels and the value of every series of the metric with that Prometheus name."""
        return [
            (dict(point.labels), point.value)
            for family in self._read()
            if family.metric.prometheus_name == name
            for point in family.points
        ]

    def value(self, name: str, **labels: str) -> float | Distribution | None:
        """Return the value of the one series of that Prometheus name that has (at least) these labels, or None.

        Raises:
            LookupError: several series have them.
        """
        found = [value for has, value in self.series(name) if labels.items() <= has.items()]
        if len(found) > 1:
            raise LookupError(f"{len(found)} series of {name} have the labels {labels}: give more of them")
        return found[0] if found else None

    def _read(self) -> list[Family]:
        return [] if self._state is None else self._state.read()


class ManualClock:
    """A clock that stands still until it is moved.

    Args:
        now: The Unix time it begins at, in seconds.
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now

    def time(self) -> float:
        """Return the Unix time in seconds."""
        return self._now

    def monotonic(self) -> float:
        """Return the same number, as a moment from which durations are counted."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        self._now += seconds


@dataclass(frozen=True, slots=True)
class Request:
    """One request that a :class:`FakeGateway` got; its body is unpacked if it was packed."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str


class FakeGateway:
    """A Pushgateway's front, over real HTTP on a loopback port: it keeps requests and answers as it is told.

    Use it where the real gateway cannot misbehave on demand.

    Attributes:
        requests: What came in, oldest first.
        status: The status to answer with from now on.
        held: While this event is not set, requests are read and not answered; it is set at first.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.status = 200
        self.held = threading.Event()
        self.held.set()
        self._arrived = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def wait_for(self, count: int, timeout: float = 10.0) -> list[Request]:
        """Wait until ``count`` requests have come in, and return all there are.

        Raises:
            TimeoutError: fewer came within ``timeout`` seconds.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.requests) >= count, timeout):
                raise TimeoutError(f"{len(self.requests)} requests within {timeout} s, waited for {count}")
            return list(self.requests)

    def close(self) -> None:
        """Let go of held requests and stop."""
        self.held.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, request: Request) -> None:
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                gateway._take(Request(self.command, self.path, dict(self.headers), body.decode()))
                gateway.held.wait()
                try:
                    self.send_response(gateway.status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:  # the client gave up while it was held
                    self.close_connection = True

            do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                pass

        return Handler

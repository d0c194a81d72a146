"""Servers that are at fault until they are mended, and exits that push to them."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import trustme
from faults import Fault, Visit, status
from opentelemetry.sdk.metrics import MeterProvider
from pushes import LOSS, TRAIN
from realservers import free_port

from gangplank import PushgatewayExporter, PushgatewayMetricReader, Telemetry
from gangplank.testing import InMemoryExporter, Request

EXITS = ("exporter", "reader")
_PATIENCE = 20.0


class Server:
    """A gateway that is at fault until it is mended; then it takes what it is sent.

    Args:
        fault: The fault.
        folder: Where the file with its authority goes.
        port: Where it listens; by default at a free port.

    Attributes:
        requests: What it has taken, oldest first, without what it met with its fault.
        visits: Connections that it met with its fault.
        connections: How many it met without.
        settings: What an exit needs to trust it.
        over: Set when it is mended.
        authority: Its authority.
        tls: What it serves TLS with, if it does.
    """

    def __init__(self, fault: Fault, folder: Path, port: int | None = None) -> None:
        self.fault = fault
        self.requests: list[Request] = []
        self.visits: list[Visit] = []
        self.connections = 0
        self.settings: dict[str, Any] = {}
        self.over = threading.Event()
        self._closed = threading.Event()
        self.tls: ssl.SSLContext | None = None
        self._stranger: ssl.SSLContext | None = None
        self.authority = trustme.CA()
        if fault.tls:
            self.settings["certificate"] = str(folder / "authority.pem")
            self.authority.cert_pem.write_to_path(self.settings["certificate"])
            self.tls, self._stranger = _context(self.authority), _context(trustme.CA())
        self.port = port or free_port()
        self.url = f"{'https' if fault.tls else 'http'}://127.0.0.1:{self.port}"
        self._fillers: list[socket.socket] = []
        self._links: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        if fault.listens != "no":
            self._listen()
        if fault.listens == "full":
            self._fill()

    def mend(self) -> None:
        """Be a good gateway from now on; connections that met the fault are closed."""
        self.over.set()
        if self.fault.listens == "no":
            self._listen()
        if self.fault.listens == "full":
            self._start(self._accept)
        for filler in self._fillers:
            filler.close()

    def of(self, path: str) -> list[str]:
        """Return the bodies that were sent to a path."""
        return [request.body for request in self.requests if request.path == path]

    def is_met(self) -> bool:
        """Whether a connection has met the fault."""
        return bool(self.visits)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._closed.set()
        for link in (*self._links, *self._fillers):
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(_PATIENCE)
        for link in (*self._links, *self._fillers):
            link.close()
        if hasattr(self, "_listener"):
            self._listener.close()

    def _listen(self) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that a large body does not fit
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(0 if self.fault.listens == "full" else 128)
        self._listener.settimeout(0.05)
        if self.fault.listens != "full":
            self._start(self._accept)

    def _fill(self) -> None:
        """Fill the queue of a listener that accepts nothing, up to the connection that hangs."""
        for _ in range(100):
            filler = socket.socket()
            self._fillers.append(filler)
            filler.settimeout(0.3)
            try:
                filler.connect(("127.0.0.1", self.port))
            except TimeoutError:
                return
        raise AssertionError("the queue of connections is never full")

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, name="faulty", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closed.is_set():
            with suppress(TimeoutError):
                link, _ = self._listener.accept()
                self._links.append(link)
                self._start(self._serve, link)

    def _serve(self, link: socket.socket) -> None:
        is_faulty = not self.over.is_set()
        context = self.tls
        if is_faulty:
            context = {"untrusted": self._stranger, "never": None}.get(self.fault.tls, self.tls)
        with suppress(OSError, ValueError):
            secured = link if context is None else context.wrap_socket(link, server_side=True)
            self._links.append(secured)
            visit = Visit(secured, self.over)
            try:
                if is_faulty:
                    self.visits.append(visit)
                    self.fault.behave(visit)
                else:
                    self.connections += 1
                    self._take(visit)
            finally:
                visit.close()
        link.close()

    def _take(self, visit: Visit) -> None:
        while (request := visit.request()) is not None:
            self.requests.append(request)
            visit.say(status(200))


def _context(authority: trustme.CA) -> ssl.SSLContext:
    """Return the context of a server that an authority vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def good(folder: Path, tls: str = "") -> Server:
    """Return a server without a fault."""
    server = Server(Fault(tls=tls), folder)
    server.over.set()
    return server


class Exit:
    """An exit with a loss to push: that of a telemetry, or a reader of a provider that a telemetry joined.

    Args:
        kind: One of ``EXITS``.
        address: Where to push.
        **settings: Its settings.
    """

    def __init__(self, kind: str, address: str, **settings: Any) -> None:
        self.kind = kind
        if kind == "exporter":
            self.telemetry = Telemetry(exporters=[PushgatewayExporter(address, "mnist", **settings)])
            self.telemetry.start()
            self._pusher: Any = self.telemetry.handles[0]
            self._memory = self.telemetry.attach(InMemoryExporter())
        else:
            self.reader = PushgatewayMetricReader(address, "mnist", **settings)
            inside: Any = self.reader
            self._pusher = inside._pusher
            self._provider = MeterProvider([self.reader], shutdown_on_exit=False)
            self.telemetry = Telemetry(meter_provider=self._provider)
            self.telemetry.start()
            self._memory = InMemoryExporter().start(inside._state, inside._trouble)

    loss = LOSS

    def ask(self) -> None:
        """Have a push begin, as a reader's provider does when it is flushed, and do not wait for it."""
        self._pusher.notify()

    def is_pushing(self) -> bool:
        """Whether its thread is there still."""
        return bool(self._pusher._thread.is_alive())

    def write_large(self, text: str) -> None:
        """Have more to push than the buffers of a connection hold."""
        for number in range(10):
            self.telemetry.state.gauge(LOSS, model=f"{number}{text}").set(0)

    def write(self, value: float) -> None:
        """Have a new loss, and say so."""
        self.telemetry.state.gauge(LOSS, model="net").set(value)
        self.telemetry.notify()

    def pushes(self, result: str) -> float:
        """Return how many pushes have had that result."""
        value: Any = self._memory.value("gangplank_export_pushes_total", result=result)
        return float(value or 0)

    def errors(self) -> float:
        """Return how many errors were counted."""
        series: list[Any] = [value for _, value in self._memory.series("gangplank_export_errors_total")]
        return float(sum(series))

    def flush(self, timeout: float = _PATIENCE) -> bool:
        """Push now, and return whether that succeeded."""
        if self.kind == "reader":
            return self.reader.force_flush(timeout * 1000)
        try:
            self.telemetry.flush(timeout)
        except OSError:
            return False
        return True

    def close(self, timeout: float = 5.0) -> None:
        """Close the exit as a program does."""
        self.telemetry.close(timeout)
        if self.kind == "reader":
            self._provider.shutdown(timeout * 1000)


def newest(server: Server) -> str | None:
    """Return the loss that a server was sent last."""
    bodies = [
        line for body in server.of(TRAIN) for line in body.splitlines() if line.startswith("gangplank_train_loss{")
    ]
    return bodies[-1].split()[-1] if bodies else None

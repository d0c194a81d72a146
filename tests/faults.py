"""How gateways misbehave over real sockets."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

from gangplank.testing import Request

_PAUSE = 0.02


class Visit:
    """One connection to a server.

    Args:
        link: The connection.
        over: Set when the fault is over.
    """

    def __init__(self, link: socket.socket, over: threading.Event) -> None:
        self.link = link
        self.over = over
        self.sent = 0
        self._lines = link.makefile("rb")

    def head(self) -> tuple[str, str, dict[str, str]] | None:
        """Read a request up to its body: method, target and headers. None if there is no more."""
        line = self._lines.readline().decode()
        if not line.strip():
            return None
        method, target, _ = line.split()
        headers: dict[str, str] = {}
        while (line := self._lines.readline().decode().strip()) != "":
            name, _, value = line.partition(":")
            headers[name.title()] = value.strip()
        return method, target, headers

    def request(self) -> Request | None:
        """Read a whole request. None if there is no more."""
        head = self.head()
        if head is None:
            return None
        method, target, headers = head
        body = self._lines.read(int(headers.get("Content-Length", 0)))
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        return Request(method, target, headers, body.decode())

    def say(self, data: bytes) -> None:
        """Send something."""
        self.link.sendall(data)
        self.sent += len(data)

    def close(self) -> None:
        """Let go of the connection, which is the end of it."""
        self._lines.close()
        self.link.close()

    def drip(self, beginning: bytes) -> None:
        """Answer a request with a beginning, and then a byte at a time until the fault is over."""
        self.request()
        self.say(beginning)
        while not self.over.wait(_PAUSE):
            self.say(b"x")


Behaviour = Callable[[Visit], None]


def silent(visit: Visit) -> None:
    """Accept and say nothing."""
    visit.over.wait()


def deaf(visit: Visit) -> None:
    """Read a byte at a time of what is sent, hardly ever."""
    while not visit.over.wait(_PAUSE):
        visit.link.recv(256)


def dripping(beginning: bytes) -> Behaviour:
    """Return what answers with that, and then a byte at a time."""
    return lambda visit: visit.drip(beginning)


def resetting(visit: Visit) -> None:
    """Reset the connection while the body is still being sent."""
    visit.head()
    visit.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def closing(visit: Visit) -> None:
    """Close the connection when the headers have come."""
    visit.head()


def answering(answer: bytes) -> Behaviour:
    """Return what gives that answer to every request."""

    def behave(visit: Visit) -> None:
        while not visit.over.is_set() and visit.request() is not None:
            visit.say(answer)

    return behave


def endless(head: bytes) -> Behaviour:
    """Return what answers with that head and a body without end."""

    def behave(visit: Visit) -> None:
        visit.request()
        visit.say(head)
        while not visit.over.is_set():
            visit.say(b"x" * 65536)

    return behave


def status(code: int, body: bytes = b"") -> bytes:
    """Return a short answer."""
    return b"HTTP/1.1 %d Whatever\r\nContent-Length: %d\r\n\r\n%s" % (code, len(body), body)


@dataclass(frozen=True, slots=True)
class Fault:
    """How a server is at fault.

    Attributes:
        behave: What it does with a connection.
        tls: "" for plain HTTP, "trusted" or "untrusted" by its authority, "never" if it does not answer the handshake.
        listens: It accepts connections ("yes"), nothing listens ("no"), or its queue is full ("full").
    """

    behave: Behaviour = silent
    tls: str = ""
    listens: str = "yes"


FAULTS = {
    "refused": Fault(listens="no"),
    "full queue": Fault(listens="full"),
    "silent": Fault(silent),
    "deaf": Fault(deaf),
    "drips a status line": Fault(dripping(b"HTTP/1.1 ")),
    "drips headers": Fault(dripping(b"HTTP/1.1 503 No\r\nX-Long: ")),
    "drips a body": Fault(dripping(b"HTTP/1.1 503 No\r\nContent-Length: 100000\r\n\r\n")),
    "drips over TLS": Fault(dripping(b"HTTP/1.1 503 No\r\nX-Long: "), tls="trusted"),
    "deaf over TLS": Fault(deaf, tls="trusted"),
    "resets": Fault(resetting),
    "closes": Fault(closing),
    "endless reply": Fault(endless(b"HTTP/1.1 503 No\r\n\r\n")),
    "not HTTP": Fault(answering(b"SSH-2.0-OpenSSH_9.2\r\n")),
    "not trusted": Fault(answering(status(200)), tls="untrusted"),
    "silent handshake": Fault(tls="never"),
    "500": Fault(answering(status(500))),
    "503": Fault(answering(status(503))),
    "429": Fault(answering(status(429))),
}

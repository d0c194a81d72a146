"""What serves a scrape, once it was started: an HTTP server, or a registry that somebody else serves."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Protocol
from wsgiref.simple_server import WSGIServer

from gangplank.exporters.protocol import Handle
from gangplank.forks import in_child


def url(scheme: str, host: str, port: int) -> str:
    """Return where metrics can be read."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/metrics"


class Scrape(Handle, Protocol):
    """A started scrape exit."""

    @property
    def url(self) -> str:
        """Where metrics can be read; empty where nothing is served."""
        ...

    def close(self, timeout: float = 5.0) -> None:
        """Stop. A second call does nothing."""
        ...


class RegistryView:
    """Metrics that are shown in a registry, which somebody else serves.

    Attributes:
        url: Empty.
    """

    url = ""

    def __init__(self, unshow: Callable[[], None], note: Callable[[], None]) -> None:
        self._unshow: Callable[[], None] | None = unshow
        self._note = note

    def notify(self) -> None:
        """Have it noted for the page, if there is one. A scrape reads whatever is true when it comes."""
        self._note()

    def flush(self, timeout: float) -> None:
        """Do nothing, as ``notify``."""

    def begin_close(self) -> None:
        """Do nothing: until it is closed a scrape may come."""

    def close(self, timeout: float = 5.0) -> None:  # noqa: ARG002 - it takes no time
        """Show them no longer. A second call does nothing."""
        unshow, self._unshow = self._unshow, None
        if unshow is not None:
            unshow()


class ScrapeServer:
    """A scrape endpoint that is being served.

    Attributes:
        url: Where metrics can be read, such as ``http://127.0.0.1:9464/metrics``.
        unshow: Called when it is closed.
        note: Called when something worth noting has happened.
        unwatch: Called when the page is no longer served.
    """

    def __init__(self, url: str, server: WSGIServer, thread: threading.Thread) -> None:
        self.url = url
        self.unshow: Callable[[], None] | None = None
        self.note: Callable[[], None] | None = None
        self.unwatch: Callable[[], None] | None = None
        self._server = server
        self._thread = thread
        self._pid = os.getpid()
        self._closed = False
        _servers.add(self)

    def __repr__(self) -> str:
        return f"<ScrapeServer {self.url}>"

    def notify(self) -> None:
        """Have it noted for the page, if there is one. A scrape reads whatever is true when it comes."""
        if self.note is not None:
            self.note()

    def flush(self, timeout: float) -> None:
        """Do nothing, as ``notify``."""

    def begin_close(self) -> None:
        """Do nothing: there is nothing to deliver, and until it is closed a scrape may come."""

    def close(self, timeout: float = 5.0) -> None:
        """Stop serving and free the port. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        is_own = os.getpid() == self._pid
        if is_own and self.unwatch is not None:
            self.unwatch()  # first, so that a page which asks until the end is told how it ended
        if self.unshow is not None:
            self.unshow()
        if not is_own:  # a forked child has the socket, and not the thread that serves it
            self._server.server_close()
            return
        # shutdown() waits for the serving loop to come round.
        stopping = threading.Thread(target=self._server.shutdown, name="gangplank-scrape-close", daemon=True)
        try:
            stopping.start()
        except RuntimeError:  # the interpreter is going down, and takes the server's daemon thread with it
            return
        stopping.join(timeout)
        self._server.server_close()

    def leave_to_parent(self) -> None:
        """Let go of the socket that a forked child has, without a thread that answers: clients would wait for it."""
        self._server.server_close()


_servers = in_child(ScrapeServer.leave_to_parent)

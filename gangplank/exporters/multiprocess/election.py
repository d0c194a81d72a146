"""One server for several processes: whoever gets the lock serves, and another takes over when it is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from gangplank.errors import ServerStartError
from gangplank.exporters.multiprocess.filelock import FileLock
from gangplank.exporters.protocol import Handle
from gangplank.forks import in_child
from gangplank.trouble import Trouble

_PAUSE = 0.2
"""Seconds between attempts to open a port that the process before has not let go of yet."""


class ElectedServer:
    """A server that one of several processes runs.

    Args:
        lock: The file whose lock decides.
        serve: Starts the server.
        url: Where it can be reached, whichever process it is that serves.
        trouble: Takes failures to start that come up later.

    Attributes:
        url: Where it can be reached.
        unshow: Called when it is closed.
        note: Called when something worth noting has happened.

    Raises:
        ServerStartError: this process was chosen at once, and could not open the port.
    """

    def __init__(self, lock: Path, serve: Callable[[], Handle], url: str, trouble: Trouble) -> None:
        self.url = url
        self.unshow: Callable[[], None] | None = None
        self.note: Callable[[], None] | None = None
        self._serve = serve
        self._trouble = trouble
        self._server: Handle | None = None
        self._closing = threading.Event()
        self._changing = threading.Lock()
        self._lock = FileLock(lock, create=True)
        if self._lock.take():
            self._serve_or_let_go()
        else:
            threading.Thread(target=self._wait, name="gangplank-election", daemon=True).start()
        _all.add(self)

    def __repr__(self) -> str:
        return f"<ElectedServer {self.url}, {'serving' if self.is_serving else 'standing by'}>"

    @property
    def is_serving(self) -> bool:
        """Whether it is this process that serves."""
        return self._server is not None

    def notify(self) -> None:
        """Have it noted for the page, if it is this process that serves it."""
        if self.note is not None:
            self.note()

    def flush(self, timeout: float) -> None:
        """Do nothing, as ``notify``."""

    def begin_close(self) -> None:
        """Do nothing: until it is closed a scrape may come."""

    def close(self, timeout: float = 5.0) -> None:
        """Stop serving, if it is this process that does, and let another one."""
        with self._changing:
            if self._closing.is_set():
                return
            self._closing.set()
            server, self._server = self._server, None
            if server is not None:
                server.close(timeout)  # first, so that a page which asks until the end is told how it ended
            if self.unshow is not None:
                self.unshow()
            if server is not None:
                self._lock.let_go()

    def leave_to_parent(self) -> None:
        """Forget, in a forked child, that this process serves or is to."""
        self._changing = threading.Lock()
        self._closing.set()
        self._server = None

    def _serve_or_let_go(self) -> None:
        try:
            self._server = self._serve()
        except BaseException:
            self._lock.let_go()
            raise

    def _wait(self) -> None:
        """Wait to be chosen, for as long as it takes, and serve."""
        try:
            self._lock.wait()
        except OSError:  # the file was closed: in an interpreter that is going down
            return
        while not self._closing.is_set():
            with self._changing:
                if self._closing.is_set():
                    break
                try:
                    self._server = self._serve()
                except ServerStartError as error:
                    self._trouble.report("take over the scrape", error)
                else:
                    return
            time.sleep(_PAUSE)
        self._lock.let_go()


_all = in_child(ElectedServer.leave_to_parent)

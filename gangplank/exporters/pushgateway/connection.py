"""Connections on which a whole exchange has a deadline.

The timeouts of sockets, which requests and urllib3 go by, begin anew with every byte: a gateway that drips one a second
would hold a push for ever.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from contextlib import suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_HASTE = 0.001
"""Seconds that are left where none are: a socket takes 0 for not waiting at all, which is another error."""


class Deadline:
    """When the present exchange must be over."""

    def __init__(self) -> None:
        self._at = float("inf")

    def set(self, seconds: float) -> None:
        """Begin an exchange that may take so long."""
        self._at = time.monotonic() + seconds

    def is_over(self) -> bool:
        """Whether it has passed."""
        return time.monotonic() >= self._at

    def left(self) -> float | None:
        """Return the seconds until it, or None if none is set.

        Raises:
            TimeoutError: it has passed.
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return max(left, _HASTE) if left != float("inf") else None

    def apply(self, connection: socket.socket) -> None:
        """Have the next operation on a socket end by then.

        Raises:
            TimeoutError: it has passed.
        """
        left = self.left()
        if left is not None:
            connection.settimeout(left)


class _Timed(io.RawIOBase):
    """What a socket says, up to a deadline."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self._raw = raw
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:  # noqa: ANN401 - a writable buffer, for which 3.11 has no name
        self._deadline.apply(self._connection)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _pools(deadline: Deadline) -> dict[str, Any]:
    """Return classes for pools of connections, by scheme, on which each operation ends by ``deadline``."""

    class Response(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            super().__init__(sock, *args, **kwargs)
            self.fp = io.BufferedReader(_Timed(self.fp.detach(), sock, deadline))

    class Plain(HTTPConnection):
        response_class: Any = Response

        def connect(self) -> None:
            self.timeout = deadline.left()
            super().connect()

        def send(self, data: Any) -> None:  # noqa: ANN401 - what http.client sends
            if self.sock is not None:
                deadline.apply(self.sock)
            super().send(data)

    class Tls(Plain, HTTPSConnection):
        pass

    class PlainPool(HTTPConnectionPool):
        ConnectionCls: Any = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls: Any = Tls

    return {"http": PlainPool, "https": TlsPool}


class BoundedAdapter(HTTPAdapter):
    """An adapter for a requests session, whose exchanges end by a deadline.

    Args:
        deadline: Set before each exchange.
    """

    def __init__(self, deadline: Deadline) -> None:
        self._pools = _pools(deadline)
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as requests has it
        """Make the manager of connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as requests has it
        """Return the manager of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        # SOCKS has pools of its own, in a package that need not be there; of them, each read has the timeout.
        if not str(proxy).lower().startswith("socks"):
            manager.pool_classes_by_scheme = self._pools
        return manager

    def close(self) -> None:
        """Close all connections, and not leave it to urllib3's end of the process, which is before the last push."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - it cannot be iterated over
                with suppress(KeyError):
                    manager.pools[key].close()
        super().close()

"""Connections on which a whole exchange has a deadline.

The timeouts of sockets, which requests and urllib3 go by, begin anew with every byte: a gateway that drips one a second
would hold a push for ever.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager

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

    def apply(self, connection: socket.socket) -> None:
        """Have the next operation on a socket end by then.

        Raises:
            TimeoutError: it has passed.
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        if left != float("inf"):
            connection.settimeout(max(left, _HASTE))


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


def bounded_adapter(deadline: Deadline) -> HTTPAdapter:
    """Return an adapter for a requests session, whose exchanges end by ``deadline``."""

    class Response(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            super().__init__(sock, *args, **kwargs)
            self.fp = io.BufferedReader(_Timed(self.fp.detach(), sock, deadline))

    class Plain(HTTPConnection):
        response_class: Any = Response

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

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
            super().init_poolmanager(*args, **kwargs)
            self._bind(self.poolmanager)

        def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            return self._bind(super().proxy_manager_for(proxy, **kwargs))

        def _bind(self, manager: PoolManager) -> PoolManager:
            pools: dict[str, Any] = {"http": PlainPool, "https": TlsPool}
            manager.pool_classes_by_scheme = pools
            return manager

    return Adapter()

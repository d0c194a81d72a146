"""What the tests of ``gangplank check`` share: a server that is no gateway, and what running the command returns."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Always:
    """A function that returns the same, whatever it is called with."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __call__(self, *_: object) -> Any:
        """Return it."""
        return self._value


class Server:
    """A server that answers every GET as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.body: Callable[[BaseHTTPRequestHandler], bytes] = Always(b"")
        self.asked: list[tuple[str, str, str | None]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.address = f"127.0.0.1:{self._server.server_port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                server.asked.append((self.command, self.path, self.headers.get("Authorization")))
                body = server.body(self)
                self.send_response(server.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                pass

        return Handler

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


Check = Callable[..., tuple[int, str]]

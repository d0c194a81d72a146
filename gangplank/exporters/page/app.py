"""The page and its data, in front of the metrics that are served to everyone else."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from prometheus_client.exposition import gzip_accepted

from gangplank.exporters.page.accept import prefers_page
from gangplank.exporters.page.document import document
from gangplank.exporters.page.watch import Watch

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

HISTORY = "/page/history.json"
"""The one path that answers with something else than metrics, whoever asks."""

_Headers = list[tuple[str, str]]
_VARY = ("Vary", "Accept, Accept-Encoding")
_ALWAYS: _Headers = [
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    _VARY,
]


class PageApp:
    """Answers a browser at ``/`` with the page, and all else as before.

    Args:
        metrics: What answers otherwise.
        watch: What the page is to show.
    """

    def __init__(self, metrics: WSGIApplication, watch: Watch) -> None:
        self._metrics = metrics
        self._watch = watch

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        is_get, path = environ["REQUEST_METHOD"] == "GET", environ.get("PATH_INFO", "")
        if is_get and path == HISTORY:
            return self._answer_history(environ, start_response)
        if is_get and path in ("", "/") and prefers_page(environ.get("HTTP_ACCEPT")):
            page = document()
            headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", page.policy)]
            return _answer(environ, start_response, "200 OK", headers, page.body)

        def start(status: str, headers: _Headers, *rest: Any) -> Any:  # noqa: ANN401 - as WSGI has it
            return start_response(status, [*headers, _VARY], *rest)

        return self._metrics(environ, start)

    def _answer_history(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        status, found = "500 Internal Server Error", {"error": "the history could not be read; the log says why"}
        with self._watch.trouble.contained("report to the page"):
            query = parse_qs(environ.get("QUERY_STRING", ""))
            found = self._watch.report(query.get("boot", [""])[0], _since(query))
            status = "200 OK"
        body = json.dumps(found, allow_nan=False, separators=(",", ":")).encode()
        return _answer(environ, start_response, status, [("Content-Type", "application/json")], body)


def _since(query: dict[str, list[str]]) -> float:
    """Return the time of the last report that a page has, or minus infinity for none."""
    try:
        since = float(query.get("since", [""])[0])
    except ValueError:
        return -math.inf
    return -math.inf if math.isnan(since) else since


def _answer(
    environ: WSGIEnvironment, start_response: StartResponse, status: str, headers: _Headers, body: bytes
) -> Iterable[bytes]:
    headers = [*headers, *_ALWAYS]
    if gzip_accepted(environ.get("HTTP_ACCEPT_ENCODING", "")):
        body = gzip.compress(body, 5)
        headers.append(("Content-Encoding", "gzip"))
    start_response(status, [*headers, ("Content-Length", str(len(body)))])
    return [body]

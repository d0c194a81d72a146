"""Where metrics are read: a scrape endpoint, a Pushgateway or a Prometheus server, whichever it is that answers."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from gangplank.errors import ExportError
from gangplank.exporters.pushgateway.inventory import LARGEST_PAGE
from gangplank.exporters.pushgateway.settings import Settings
from gangplank.exporters.pushgateway.transport import RefusedError, SessionHandler
from gangplank.watch import exposition
from gangplank.watch.prometheus import PrometheusServer, server_time
from gangplank.watch.reading import Reading, ReadingError

_HEADERS = [("Accept", "text/plain;version=0.0.4, */*;q=0.1")]
_WORDS = {401: "it wants to know who is asking", 403: "who is asking may not", 404: "there is nothing there"}
_NOT_FOUND = range(400, 500)


class Source:
    """Reads what is at an address, having found out what it is.

    Args:
        settings: The address, how to be known to it, and how long to wait.
        since: Seconds of the past to ask a Prometheus server for.
        interval: Seconds between readings.
    """

    def __init__(self, settings: Settings, *, since: float, interval: float) -> None:
        self.url = settings.shown_address
        self._session = SessionHandler(settings)
        self._timeout = settings.timeout
        self._since = since
        self._interval = interval
        self._prometheus: PrometheusServer | None = None
        self._page: str | None = None

    @property
    def kind(self) -> str:
        """What it is, in a word or two; empty as long as that is not known."""
        if self._prometheus is not None:
            return "Prometheus"
        return "" if self._page is None else "metrics page"

    def read(self) -> list[Reading]:
        """Return what there is that was not read before, oldest first.

        Raises:
            ReadingError: there is nothing to be had; the message says why.
        """
        if self._prometheus is None and self._page is None:
            return self._find()
        if self._prometheus is not None:
            return self._prometheus.read()
        return [self._read_page(self._page or "")]

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _find(self) -> list[Reading]:
        """Find out what it is, and read it."""
        path = urlsplit(self.url).path
        if path.endswith("/metrics"):
            return self._found(self.url)
        ahead = self._clock_ahead()
        if ahead is not None:
            server = PrometheusServer(self._ask_api, since=self._since, interval=self._interval, ahead=ahead)
            readings = server.read()
            self._prometheus = server
            return readings
        if not path:
            return self._found(f"{self.url}/metrics")
        try:
            return self._found(self.url)
        except ReadingError as error:
            try:
                return self._found(f"{self.url}/metrics")
            except ReadingError:
                raise error from None

    def _found(self, page: str) -> list[Reading]:
        reading = self._read_page(page)
        self._page = page
        return [reading]

    def _read_page(self, page: str) -> Reading:
        return exposition.read(page, self._get(page))

    def _clock_ahead(self) -> float | None:
        """Return by how much the clock of the Prometheus server is ahead; None if there is no such server."""
        asked = f"{self.url}/api/v1/query?query=time()"
        try:
            answer = self._exchange(asked)
        except RefusedError as error:
            if error.status in (401, 403):
                raise _in_words(error) from None
            return None
        except ExportError as error:  # nobody but us knows of the question
            raise ReadingError(str(error).replace(asked, self.url)) from None
        found = server_time(answer)
        return None if found is None else found - time.time()

    def _ask_api(self, path: str) -> str:
        return self._get(f"{self.url}{path}")

    def _get(self, url: str) -> str:
        try:
            return self._exchange(url)
        except ExportError as error:
            raise _in_words(error) from None

    def _exchange(self, url: str) -> str:
        text = self._session.exchange("GET", url, self._timeout, _HEADERS, most=LARGEST_PAGE)
        if len(text) >= LARGEST_PAGE:
            raise ReadingError(f"{url} answers with more than {LARGEST_PAGE // 2**20} MiB")
        return text


def _in_words(error: ExportError) -> ReadingError:
    if isinstance(error, RefusedError) and error.status in _NOT_FOUND:
        return ReadingError(f"{error} ({_WORDS.get(error.status, 'it does not accept the question')})")
    return ReadingError(str(error))

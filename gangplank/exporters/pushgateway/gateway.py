"""A Pushgateway, to send groups to."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from urllib.error import HTTPError

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from gangplank.errors import ExportError
from gangplank.exporters.pushgateway.address import group_url
from gangplank.exporters.pushgateway.groups import Group
from gangplank.exporters.pushgateway.inventory import LARGEST_PAGE, inventory, labels_of_group
from gangplank.exporters.pushgateway.settings import Settings
from gangplank.exporters.pushgateway.transport import Exchange, Handler, Headers, RefusedError, SessionHandler


class Gateway:
    """One job's place at one gateway.

    Args:
        settings: The gateway, and what there is to know about pushing to it.
        job: The ``job`` label.
        handler: Does the HTTP in place of requests.
    """

    def __init__(self, settings: Settings, job: str, handler: Handler | None = None) -> None:
        self.settings = settings
        self.job = job
        self._handler: Handler = SessionHandler(settings) if handler is None else handler

    def __repr__(self) -> str:
        return f"{self.settings.shown_address} (job {self.job!r})"

    def send(self, group: Group) -> None:
        """Send ``group``.

        Raises:
            ExportError: it was not accepted.
        """
        headers = [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)]
        body = group.body
        if self.settings.compression == "gzip":
            headers.append(("Content-Encoding", "gzip"))
            body = gzip.compress(body, mtime=0)
        self._exchange(group.method, group.labels, headers, body)

    def delete(self, labels: Iterable[tuple[str, str]]) -> None:
        """Delete the group of these labels, beside ``job`` and the user's grouping key.

        Raises:
            ExportError: it may still be there.
        """
        self._exchange("DELETE", labels, [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)], b"")

    def has(self, groups: Iterable[Group]) -> list[bool] | None:
        """Return of each group whether the gateway has it.

        None if it does not say, or says more than is read, or a user's handler does the HTTP.

        Raises:
            NoAnswerError: the gateway did not answer.
            RefusedError: it may say so later.
        """
        exchange: Exchange | None = getattr(self._handler, "exchange", None)
        if exchange is None:
            return None
        try:
            page = exchange("GET", f"{self.settings.address}/metrics", self.settings.timeout, most=LARGEST_PAGE)
            if len(page.encode()) >= LARGEST_PAGE:  # and so not all of it
                return None
            held = {group.labels for group in inventory(page) if group.pushed}
        except ValueError:  # the page is none
            return None
        except RefusedError as error:
            if error.may_pass:
                raise
            return None
        return [labels_of_group({"job": self.job, **self._labels(group.labels)}.items()) in held for group in groups]

    def url(self, labels: Iterable[tuple[str, str]], *, shown: bool = True) -> str:
        """Return the URL of the group of these labels.

        Args:
            labels: The group's labels beside ``job`` and the user's grouping key.
            shown: Without user and password.
        """
        address = self.settings.shown_address if shown else self.settings.address
        return group_url(address, self.job, self._labels(labels))

    def _labels(self, labels: Iterable[tuple[str, str]]) -> dict[str, str]:
        # The user's key comes before: it can say the rank, too.
        return {**dict(labels), **self.settings.grouping_key}

    def close(self) -> None:
        """Let go of the connection, if the handler keeps one."""
        close = getattr(self._handler, "close", None)
        if close is not None:
            close()

    def _exchange(self, method: str, labels: Iterable[tuple[str, str]], headers: Headers, body: bytes) -> None:
        url = self.url(labels, shown=False)
        try:
            self._handler(url=url, method=method, timeout=self.settings.timeout, headers=headers, data=body)()
        except ExportError:
            raise
        # A user's handler raises what it likes, with the password in it, and may think that it is a program.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            message = self.settings.redacted(f"{type(error).__name__}: {error}")
            if isinstance(error, HTTPError):
                raise RefusedError(message, error.code) from None
            raise ExportError(message) from None

"""A Pushgateway, to send groups to."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.error import HTTPError

from gangplank.errors import ExportError
from gangplank.exporters.exposition import Families
from gangplank.exporters.pushgateway.groups import Group
from gangplank.exporters.pushgateway.transport import (
    Handler,
    RefusedError,
    SessionHandler,
    redacted,
    without_credentials,
)


class Gateway:
    """One job's place at one gateway.

    Args:
        url: The gateway's address, as :func:`gangplank.checks.http_url` returns it.
        job: The ``job`` label.
        grouping_key: More labels of all groups.
        timeout: Seconds to wait for the gateway, to connect and between bytes of its answer.
        handler: Does the HTTP in place of requests.
    """

    def __init__(
        self, url: str, job: str, grouping_key: Mapping[str, str], timeout: float, handler: Handler | None
    ) -> None:
        self._url = url
        self._job = job
        self._grouping_key = dict(grouping_key)
        self._timeout = timeout
        self._handler: Handler = SessionHandler(url) if handler is None else handler

    def __repr__(self) -> str:
        return f"{without_credentials(self._url)} (job {self._job!r})"

    def send(self, group: Group) -> None:
        """Send ``group``.

        Raises:
            ExportError: it was not accepted.
        """
        try:
            group.push(
                self._url,
                self._job,
                Families(group.families),
                grouping_key={**self._grouping_key, **group.labels},
                timeout=self._timeout,
                handler=self._handler,
            )
        except ExportError:
            raise
        except Exception as error:  # noqa: BLE001 - a user's handler raises what it likes, with the password in it
            message = redacted(f"{type(error).__name__}: {error}", self._url)
            if isinstance(error, HTTPError):
                raise RefusedError(message, error.code) from None
            raise ExportError(message) from None

    def close(self) -> None:
        """Let go of the connection, if the handler keeps one."""
        close = getattr(self._handler, "close", None)
        if close is not None:
            close()

"""HTTP to a gateway, by requests, behind the seam that prometheus_client's push functions have: a handler."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import HTTPError

from gangplank.errors import ExportError

Headers = list[tuple[str, str]]
Handler = Callable[..., Callable[[], None]]
"""prometheus_client's push handler: called with url, method, timeout, headers and data, it returns what sends."""

_READ_OF_A_REPLY = 500
_ACCEPTED = range(200, 300)


class RefusedError(ExportError):
    """The gateway answered, and did not accept what it was sent.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class SessionHandler:
    """A push handler on one requests session: it keeps the connection and honours proxy settings.

    Args:
        url: The gateway. A user and password in it go out as basic authentication, and appear in no error. Without
            them there is none: a ``.netrc`` is not looked into.
    """

    def __init__(self, url: str) -> None:
        self._session = requests.Session()
        parts = urlsplit(url)
        self._session.auth = (
            HTTPBasicAuth(unquote(parts.username), unquote(parts.password or ""))
            if parts.username is not None
            else lambda request: request
        )

    def __call__(
        self, url: str, method: str, timeout: float | None, headers: Headers, data: bytes
    ) -> Callable[[], None]:
        """Return the function that sends the request.

        Raises:
            RefusedError: (from that function) the gateway answered with anything but success.
            ExportError: (from that function) there was no answer.
        """

        def send() -> None:
            try:
                # Streamed, so that an endless reply is not read; a redirect would turn the PUT into a GET.
                with self._session.request(
                    method,
                    without_credentials(url),
                    data=data,
                    headers=dict(headers),
                    timeout=timeout,
                    allow_redirects=False,
                    stream=True,
                ) as reply:
                    said = _beginning(reply)
                    if reply.status_code not in _ACCEPTED:
                        message = f"{without_credentials(url)} answered {reply.status_code}: {said}"
                        raise RefusedError(message, reply.status_code)
            except requests.RequestException as error:
                raise ExportError(redacted(str(error), url)) from None

        return send

    def close(self) -> None:
        """Close the connection."""
        self._session.close()


def _beginning(reply: requests.Response) -> str:
    """Return what a reply begins with; read to its end, which is near, it lets the connection serve the next push."""
    try:
        return str(reply.raw.read(_READ_OF_A_REPLY, decode_content=True).decode(errors="replace").strip())
    except (HTTPError, OSError):  # the status has arrived, and is what counts
        return ""


def without_credentials(url: str) -> str:
    """Return ``url`` with user and password left out."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def redacted(message: str, url: str) -> str:
    """Return ``message`` without the user and password that ``url`` holds."""
    userinfo, at, _ = urlsplit(url).netloc.rpartition("@")
    if not at:
        return message
    for secret in (userinfo, userinfo.partition(":")[2]):
        if secret:
            message = message.replace(secret, "***")
    return message

"""HTTP to a gateway, by requests, behind the seam that prometheus_client's push functions have: a handler."""

from __future__ import annotations

import re
from collections.abc import Callable

import requests
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import HTTPError

from gangplank.errors import ExportError
from gangplank.exporters.pushgateway.address import without_credentials
from gangplank.exporters.pushgateway.connection import BoundedAdapter, Deadline
from gangplank.exporters.pushgateway.settings import Settings

Headers = list[tuple[str, str]]
Handler = Callable[..., Callable[[], None]]
"""prometheus_client's push handler: called with url, method, timeout, headers and data, it returns what sends."""

Exchange = Callable[..., str]
"""What a handler of ours has beside: sends a request, and returns what the answer says."""

_READ_OF_A_REPLY = 500
_LONGEST_SECRET = 8192
_ACCEPTED = range(200, 300)
_SERVER_ERROR, _NOT_IMPLEMENTED = 500, 501
_LATER = (408, 425, 429)
_OBJECT = re.compile(r"^\w+\(host=.*?, port=\d+\): ")
_NEVER = (400, 413, 415, 422)


class NoAnswerError(ExportError):
    """The gateway did not answer.

    Attributes:
        cause: Tells why from other reasons.
    """

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


class RefusedError(ExportError):
    """The gateway answered, and did not accept what it was sent.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def cause(self) -> str:
        """What tells it from other refusals."""
        return str(self.status)

    @property
    def may_pass(self) -> bool:
        """Whether the same may be accepted soon, by a gateway that has recovered."""
        is_servers = self.status >= _SERVER_ERROR and self.status != _NOT_IMPLEMENTED
        return is_servers or self.status in _LATER

    @property
    def is_for_good(self) -> bool:
        """Whether what was sent is at fault, rather than who sent it or the moment."""
        return self.status in _NEVER


class _Session(requests.Session):
    """A session that looks at no redirect: to offer the next request, requests reads a redirect's body to its end."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - as requests has it
        """Return nothing."""
        return


class SessionHandler:
    """A push handler on one requests session: it keeps the connection and honours proxy settings.

    What authenticates is in no error. Without it there is no authentication: a ``.netrc`` is not looked into.

    Args:
        settings: The gateway, and how to be known to it.
    """

    def __init__(self, settings: Settings) -> None:
        self._redacted = settings.redacted
        self._deadline = Deadline()
        self._session = _Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, BoundedAdapter(self._deadline))
        self._session.headers.update(settings.headers)
        self._session.auth = _authentication(settings)
        # Given with each request, since REQUESTS_CA_BUNDLE would come before what the session has.
        self._verify: str | bool = settings.certificate or True
        if settings.client_certificate is not None:
            self._session.cert = (settings.client_certificate, settings.client_key or settings.client_certificate)

    def __call__(
        self, url: str, method: str, timeout: float | None, headers: Headers, data: bytes
    ) -> Callable[[], None]:
        """Return the function that sends the request.

        Raises:
            RefusedError: (from that function) the gateway answered with anything but success.
            NoAnswerError: (from that function) there was no answer within ``timeout`` seconds, all in all.
        """

        def send() -> None:
            self.exchange(method, url, timeout, headers, data)

        return send

    def exchange(
        self,
        method: str,
        url: str,
        timeout: float | None,
        headers: Headers | None = None,
        data: bytes = b"",
        most: int = _READ_OF_A_REPLY,
    ) -> str:
        """Send a request, and return what the answer begins with, up to ``most`` bytes.

        Raises:
            RefusedError: the gateway answered with anything but success.
            NoAnswerError: there was no answer within ``timeout`` seconds, all in all.
        """
        if timeout is not None:
            self._deadline.set(timeout)
        try:
            # Streamed, so that an endless reply is not read; a redirect would turn the PUT into a GET.
            with self._session.request(
                method,
                without_credentials(url),
                data=data,
                headers=dict(headers or ()),
                timeout=timeout,
                allow_redirects=False,
                stream=True,
                verify=self._verify,
            ) as reply:
                said = _beginning(reply, most + _LONGEST_SECRET)
                if reply.status_code not in _ACCEPTED:
                    said = self._redacted(said)[:most].strip()
                    message = f"{without_credentials(url)} answered {reply.status_code}: {said}"
                    raise RefusedError(message, reply.status_code)
                return said[:most]
        except ExportError:
            raise
        # requests lets some through that it did not raise: of certificates that are not there, of a name too long.
        except (OSError, HTTPError) as error:
            if timeout is not None and self._deadline.is_over():
                message = f"{without_credentials(url)} did not answer within {timeout:.3g} s"
                raise NoAnswerError(message, "deadline") from None
            message = f"{without_credentials(url)}: {self._redacted(_reason(error))}"
            raise NoAnswerError(message, type(error).__name__) from None

    def close(self) -> None:
        """Close the connection."""
        self._session.close()


def _authentication(settings: Settings) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    if settings.username is not None:
        # As bytes, since requests would encode text as Latin-1.
        return HTTPBasicAuth(settings.username.encode(), (settings.password or "").encode())

    def authenticate(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if settings.bearer_token is not None:
            request.headers["Authorization"] = f"Bearer {settings.bearer_token}"
        return request

    return authenticate


def _reason(error: BaseException) -> str:
    """Return what is at the bottom of an error, without the layers that it passed through."""
    inner = getattr(error, "reason", None) or (error.args[-1] if error.args else None)
    return _reason(inner) if isinstance(inner, BaseException) else _OBJECT.sub("", str(error))


def _beginning(reply: requests.Response, most: int) -> str:
    """Return what a reply begins with; read to its end, which is near, it lets the connection serve the next push."""
    try:
        return str(reply.raw.read(most, decode_content=True).decode(errors="replace"))
    except (HTTPError, OSError):  # the status has arrived, and is what counts
        return ""

"""The scrape exit: an HTTP server that answers Prometheus."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server

from gangplank import checks
from gangplank.errors import ConfigurationError, ServerStartError
from gangplank.exporters import exposition
from gangplank.state import State
from gangplank.trouble import Trouble

_Path = str | PathLike[str]


class PrometheusExporter:
    """Serves metrics to Prometheus, at any path, from a daemon thread.

    Args:
        port: The TCP port; 0 lets the system choose one, which the handle's ``url`` tells.
        host: The address to listen on. The default can be reached from this machine only; ``"0.0.0.0"`` from
            wherever the network allows.
        registry: A prometheus_client registry to show the metrics in, beside whatever else it holds. By default
            a new one.
        certfile: A PEM file with the server's certificate: serves HTTPS. Needs ``keyfile``.
        keyfile: A PEM file with the certificate's key.
        client_cafile: A PEM file of authorities: only clients with a certificate of theirs are answered.

    Raises:
        TypeError: an argument has the wrong type.
        ConfigurationError: a port out of range, a file that is not there or not what it should be, or half
            of a TLS configuration.
    """

    def __init__(
        self,
        port: int = 9464,
        host: str = "127.0.0.1",
        *,
        registry: CollectorRegistry | None = None,
        certfile: _Path | None = None,
        keyfile: _Path | None = None,
        client_cafile: _Path | None = None,
    ) -> None:
        self._port = checks.port("port", port)
        self._host = checks.text("host", host)
        if registry is not None and not isinstance(registry, CollectorRegistry):
            raise TypeError(f"registry must be a prometheus_client.CollectorRegistry, not {registry!r}")
        self._registry = registry
        if (certfile is None) != (keyfile is None):
            raise ConfigurationError("certfile and keyfile must be given together: HTTPS needs both")
        if client_cafile is not None and certfile is None:
            raise ConfigurationError("client_cafile needs certfile and keyfile: client certificates are part of HTTPS")
        self._certfile = _file("certfile", certfile)
        self._keyfile = _file("keyfile", keyfile)
        self._client_cafile = _file("client_cafile", client_cafile)
        if self._certfile is not None:
            _try_tls(self._certfile, self._keyfile, self._client_cafile)

    def __repr__(self) -> str:
        return f"PrometheusExporter(port={self._port}, host={self._host!r})"

    def start(self, state: State, trouble: Trouble) -> ScrapeServer:  # noqa: ARG002 - nothing here can fail later
        """Open the port and serve ``state``.

        Raises:
            ServerStartError: the port is taken, or the host is not this machine's.
        """
        registry = self._registry if self._registry is not None else CollectorRegistry()
        try:
            server, thread = start_http_server(
                self._port,
                self._host,
                registry,
                certfile=self._certfile,
                keyfile=self._keyfile,
                client_cafile=self._client_cafile,
                client_auth_required=self._client_cafile is not None,
            )
        except (OSError, UnicodeError) as error:  # the latter for a host name that cannot be one
            raise ServerStartError(
                f"could not serve metrics at {self._host}:{self._port}: {error}. Is the port taken? "
                f"port=0 takes a free one"
            ) from error
        if isinstance(server.socket, ssl.SSLSocket):
            # Else the handshake is waited for where connections are accepted: one silent client, and no scrape works.
            server.socket.do_handshake_on_connect = False  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        exposition.show(state, registry)
        scheme = "http" if self._certfile is None else "https"
        return ScrapeServer(_url(scheme, server), server, thread, unshow=lambda: exposition.hide(state, registry))


class ScrapeServer:
    """A scrape endpoint that is being served.

    Attributes:
        url: Where metrics can be read, such as ``http://127.0.0.1:9464/metrics``.
    """

    def __init__(self, url: str, server: WSGIServer, thread: threading.Thread, unshow: Callable[[], None]) -> None:
        self.url = url
        self._server = server
        self._thread = thread
        self._unshow = unshow
        self._pid = os.getpid()
        self._closed = False

    def __repr__(self) -> str:
        return f"<ScrapeServer {self.url}>"

    def notify(self) -> None:
        """Do nothing: a scrape reads whatever is true when it comes."""

    def flush(self, timeout: float) -> None:
        """Do nothing, as ``notify``."""

    def begin_close(self) -> None:
        """Do nothing: there is nothing to deliver, and until it is closed a scrape may come."""

    def close(self, timeout: float = 5.0) -> None:
        """Stop serving and free the port. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._unshow()
        if os.getpid() != self._pid:  # a forked child has the socket, and not the thread that serves it
            self._server.server_close()
            return
        # shutdown() waits for the serving loop to come round.
        stopping = threading.Thread(target=self._server.shutdown, name="gangplank-scrape-close", daemon=True)
        try:
            stopping.start()
        except RuntimeError:  # the interpreter is going down, and takes the server's daemon thread with it
            return
        stopping.join(timeout)
        self._server.server_close()


def _url(scheme: str, server: WSGIServer) -> str:
    host, port = server.server_address[:2]
    shown = host.decode() if isinstance(host, bytes) else str(host)
    return f"{scheme}://{f'[{shown}]' if ':' in shown else shown}:{port}/metrics"


def _file(argument: str, path: _Path | None) -> str | None:
    if path is None:
        return None
    if not isinstance(path, (str, PathLike)):
        raise TypeError(f"{argument} must be a path, not {path!r}")
    if not Path(path).is_file():
        raise ConfigurationError(f"{argument} must be a file that exists, got {str(path)!r}")
    return str(path)


def _try_tls(certfile: str, keyfile: str | None, client_cafile: str | None) -> None:
    """Load the files once, since the server binds its port before it does, and would not let go of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certfile, keyfile)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigurationError(
            f"certfile and keyfile must be a certificate and its key in PEM, got {certfile!r} and {keyfile!r}: {error}"
        ) from error
    try:
        if client_cafile is not None:
            context.load_verify_locations(client_cafile)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"client_cafile must hold certificates in PEM, got {client_cafile!r}: {error}"
        ) from error

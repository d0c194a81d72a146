"""The scrape exit: an HTTP server that answers Prometheus."""

from __future__ import annotations

import os
import ssl
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server

from gangplank import checks
from gangplank.errors import ConfigurationError, ServerStartError
from gangplank.exporters import exposition, scrape
from gangplank.exporters.page import watch
from gangplank.exporters.page.app import PageApp
from gangplank.exporters.scrape import RegistryView, Scrape, ScrapeServer
from gangplank.state import State
from gangplank.trouble import Trouble

if TYPE_CHECKING:
    from gangplank.exporters.multiprocess.directory import Directory

__all__ = ["REGISTRY", "CollectorRegistry", "PrometheusExporter"]

_Path = str | PathLike[str]
_DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""That of prometheus_client, whose files and ours can lie in one directory."""


class PrometheusExporter:
    """Serves metrics to Prometheus, at any path, from a daemon thread.

    Args:
        port: The TCP port; 0 lets the system choose one, which the handle's ``url`` tells. None serves nothing: the
            metrics are only shown in ``registry``, for a program that serves that itself.
        host: The address to listen on. The default can be reached from this machine only; ``"0.0.0.0"`` from
            wherever the network allows.
        registry: A prometheus_client registry to show the metrics in, beside whatever else it holds. By default
            a new one.
        certfile: A PEM file with the server's certificate: serves HTTPS. Needs ``keyfile``.
        keyfile: A PEM file with the certificate's key.
        client_cafile: A PEM file of authorities: only clients with a certificate of theirs are answered.
        multiprocess_dir: A directory that several processes of one service share, such as the workers of a pre-fork
            server. A scrape of any of them then shows all of them together, and one of them serves the port for all.
            By default what the environment variable ``PROMETHEUS_MULTIPROC_DIR`` says, if it is set.
        page: Whether a browser gets a page at ``/`` that draws what is measured. Whoever asks for no HTML gets metrics
            there, too.

    Raises:
        TypeError: an argument has the wrong type.
        ConfigurationError: a port out of range, a file that is not there or not what it should be, half of a TLS
            configuration, or a directory that cannot be written to.
    """

    def __init__(
        self,
        port: int | None = 9464,
        host: str = "127.0.0.1",
        *,
        registry: CollectorRegistry | None = None,
        certfile: _Path | None = None,
        keyfile: _Path | None = None,
        client_cafile: _Path | None = None,
        multiprocess_dir: _Path | None = None,
        page: bool = True,
    ) -> None:
        self._port = None if port is None else checks.port("port", port)
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
        self._page = checks.flag("page", page)
        self._directory = _directory(multiprocess_dir)
        if self._directory is not None and port == 0:
            raise ConfigurationError("port must not be 0 with multiprocess_dir: whichever process serves, it is there")

    def __repr__(self) -> str:
        return f"PrometheusExporter(port={self._port}, host={self._host!r})"

    def start(self, state: State, trouble: Trouble) -> Scrape:
        """Open the port and serve ``state``.

        Raises:
            ServerStartError: the port is taken, or the host is not this machine's.
        """
        registry = self._registry if self._registry is not None else CollectorRegistry()
        if self._directory is not None:
            return self._start_together(self._directory, registry, state, trouble)
        if self._port is None:
            exposition.show(state, registry)
            return RegistryView(lambda: exposition.hide(state, registry), lambda: watch.note(registry, state))
        server = self._serve(registry, trouble)
        exposition.show(state, registry)
        server.unshow = lambda: exposition.hide(state, registry)
        server.note = lambda: watch.note(registry, state)
        return server

    def _start_together(
        self, directory: Directory, registry: CollectorRegistry, state: State, trouble: Trouble
    ) -> Scrape:
        """Show and serve what all processes of a directory have."""
        from gangplank.exporters.multiprocess.election import ElectedServer  # noqa: PLC0415 - not on Windows
        from gangplank.exporters.multiprocess.storage import keep_together  # noqa: PLC0415

        server: ElectedServer | None = None
        if self._port is not None:
            url = scrape.url("http" if self._certfile is None else "https", self._host, self._port)
            lock = directory.path / f"port-{self._port}.lock"
            server = ElectedServer(lock, lambda: self._serve(registry, trouble), url, trouble)
        leave = keep_together(state, directory)
        exposition.show(directory, registry)

        def unshow() -> None:
            exposition.hide(directory, registry)
            leave()

        if server is None:
            return RegistryView(unshow, lambda: watch.note(registry, state))
        server.unshow = unshow
        server.note = lambda: watch.note(registry, state)
        return server

    def _serve(self, registry: CollectorRegistry, trouble: Trouble) -> ScrapeServer:
        try:
            server, thread = start_http_server(
                self._port or 0,
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
        host, port = server.server_address[:2]
        shown = host.decode() if isinstance(host, bytes) else str(host)
        served = ScrapeServer(scrape.url("http" if self._certfile is None else "https", shown, port), server, thread)
        if self._page:
            watched, served.unwatch = watch.begin(registry, trouble)
            metrics = server.get_app()
            if metrics is not None:
                server.set_app(PageApp(metrics, watched))
        return served


def _directory(path: _Path | None) -> Directory | None:
    if path is None:
        path = os.environ.get(_DIRECTORY_VARIABLE) or None
        if path is None:
            return None
    argument = f"multiprocess_dir (or the environment variable {_DIRECTORY_VARIABLE})"
    if not isinstance(path, (str, PathLike)):
        raise TypeError(f"{argument} must be a path, not {path!r}")
    try:
        from gangplank.exporters.multiprocess.directory import directory_at  # noqa: PLC0415

        return directory_at(Path(path).resolve())
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{argument} needs locks that Windows does not have, got {str(path)!r}") from error
    except OSError as error:
        raise ConfigurationError(f"{argument} must be a directory to write to, got {str(path)!r}: {error}") from error


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

"""The scrape exit over HTTPS: who is answered, what is refused, and clients that stall."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import trustme

from gangplank import ConfigurationError, PrometheusExporter, Telemetry
from gangplank.catalogue import model_metric
from gangplank.exporters.scrape import Scrape
from gangplank.metrics import Phase

LOSS = model_metric(Phase.TRAIN, "loss")
LINE = 'gangplank_train_loss{model="net"} 0.5\n'


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """A telemetry with a loss in it."""
    with Telemetry() as telemetry:
        telemetry.state.gauge(LOSS, model="net").set(0.5)
        yield telemetry


class Certificates:
    """An authority, the server's certificate and a client's, in files."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.authority = self._file(folder / "authority.pem", [authority.cert_pem])
        self.server = self._pair(folder, "server", authority.issue_cert("127.0.0.1"))
        self.client = self._pair(folder, "client", authority.issue_cert("client@example.org"))
        self.stranger = self._pair(folder, "stranger", trustme.CA().issue_cert("stranger@example.org"))

    def _pair(self, folder: Path, name: str, made: trustme.LeafCert) -> tuple[Path, Path]:
        return (
            self._file(folder / f"{name}.pem", made.cert_chain_pems),
            self._file(folder / f"{name}.key", [made.private_key_pem]),
        )

    def _file(self, path: Path, blobs: list[trustme.Blob]) -> Path:
        path.write_bytes(b"".join(blob.bytes() for blob in blobs))
        return path

    def context(self, pair: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """Return what a client that trusts the authority connects with."""
        context = ssl.create_default_context(cafile=self.authority)
        if pair is not None:
            context.load_cert_chain(*pair)
        return context


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    """Certificates for 127.0.0.1."""
    return Certificates(tmp_path)


def get(url: str, context: ssl.SSLContext | None = None, timeout: float = 10) -> str:
    """Return the text at ``url``."""
    with urlopen(url, timeout=timeout, context=context) as reply:
        text: str = reply.read().decode()
        return text


def port_of(server: Scrape) -> int:
    """Return the port that the server listens on."""
    return int(server.url.rpartition(":")[2].removesuffix("/metrics"))


def test_https(telemetry: Telemetry, certificates: Certificates) -> None:
    """With a certificate that clients can check; plain HTTP is not answered."""
    certfile, keyfile = certificates.server
    server = telemetry.attach(PrometheusExporter(port=0, certfile=certfile, keyfile=str(keyfile)))
    assert server.url.startswith("https://127.0.0.1:")
    assert LINE in get(server.url, context=certificates.context())
    with pytest.raises(OSError, match=r"certificate verify failed"):
        get(server.url, context=ssl.create_default_context())
    with pytest.raises(OSError):  # noqa: PT011 - reset or closed, as the system likes
        get(server.url.replace("https://", "http://"))
    assert LINE in get(server.url, context=certificates.context())


def test_clients_without_a_certificate_are_refused(telemetry: Telemetry, certificates: Certificates) -> None:
    """One of the authority's is answered; none, or a stranger's, is not."""
    certfile, keyfile = certificates.server
    exporter = PrometheusExporter(port=0, certfile=certfile, keyfile=keyfile, client_cafile=certificates.authority)
    server = telemetry.attach(exporter)
    assert LINE in get(server.url, context=certificates.context(certificates.client))
    for refused in (certificates.context(), certificates.context(certificates.stranger)):
        with pytest.raises(OSError):  # noqa: PT011 - an alert or a reset, as TLS versions and systems differ
            get(server.url, context=refused)
    assert LINE in get(server.url, context=certificates.context(certificates.client))


@pytest.mark.parametrize("given", [["certfile"], ["keyfile"], ["client_cafile"], ["keyfile", "client_cafile"]])
def test_half_a_tls_configuration_is_refused(given: list[str], tmp_path: Path) -> None:
    """Rather than serving in the clear what was meant to be private."""
    file = tmp_path / "file.pem"
    file.touch()
    files: dict[str, Any] = dict.fromkeys(given, file)
    with pytest.raises(ConfigurationError, match="certfile and keyfile"):
        PrometheusExporter(**files)


@pytest.mark.parametrize("which", ["certfile", "client_cafile"])
def test_a_file_that_is_no_certificate_is_refused(certificates: Certificates, tmp_path: Path, which: str) -> None:
    """The file is there, and holds something else: an error at construction, before any port is open."""
    certfile, keyfile = certificates.server
    file = tmp_path / "file.pem"
    file.write_text("not a certificate")
    files: dict[str, Any] = {"certfile": certfile, "keyfile": keyfile, which: file}
    with pytest.raises(ConfigurationError, match=which):
        PrometheusExporter(**files)


def test_closing_with_a_client_that_stalls(telemetry: Telemetry, certificates: Certificates) -> None:
    """A client in the middle of a TLS handshake holds up neither the close nor the port."""
    certfile, keyfile = certificates.server
    server = telemetry.attach(PrometheusExporter(port=0, certfile=certfile, keyfile=keyfile))
    with socket.create_connection(("127.0.0.1", port_of(server))):
        began = time.monotonic()
        server.close(timeout=0.5)
        assert time.monotonic() - began < 10
        assert telemetry.attach(PrometheusExporter(port=port_of(server))).url.endswith(f":{port_of(server)}/metrics")


def test_a_client_that_stalls_keeps_nobody_from_being_answered(
    telemetry: Telemetry, certificates: Certificates
) -> None:
    """A port scanner that never shakes hands does not blind the monitoring."""
    certfile, keyfile = certificates.server
    server = telemetry.attach(PrometheusExporter(port=0, certfile=certfile, keyfile=keyfile))
    with socket.create_connection(("127.0.0.1", port_of(server))):
        assert LINE in get(server.url, context=certificates.context(), timeout=3)

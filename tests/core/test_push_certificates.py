"""Certificates as settings: given or in the environment, and looked into at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from pushsettings import SECRET, settings, variable

from gangplank import ConfigurationError

pytestmark = pytest.mark.usefixtures("_one_process")


class Files:
    """An authority and a client's certificate, in files."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        pair, other = authority.issue_cert("client@example.org"), authority.issue_cert("other@example.org")
        key = load_pem_private_key(pair.private_key_pem.bytes(), None)
        locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(SECRET.encode()))
        contents = {
            "authority": authority.cert_pem.bytes(),
            "certificate": pair.cert_chain_pems[0].bytes(),
            "key": pair.private_key_pem.bytes(),
            "both": pair.private_key_and_cert_chain_pem.bytes(),
            "other": other.private_key_pem.bytes(),
            "locked": locked,
            "empty": b"",
            "garbage": b"\x00\xff not PEM",
        }
        self.paths = {name: folder / f"{name}.pem" for name in contents}
        for name, content in contents.items():
            self.paths[name].write_bytes(content)

    def __getitem__(self, name: str) -> Path:
        return self.paths[name]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Certificates and keys."""
    return Files(tmp_path_factory.mktemp("certificates"))


def test_certificates_that_are_allowed(monkeypatch: pytest.MonkeyPatch, files: Files) -> None:
    """As path or text, in one file or two, given or in the environment."""
    found = settings(certificate=files["authority"], client_certificate=files["certificate"], client_key=files["key"])
    assert (found.certificate, found.client_key) == (str(files["authority"]), str(files["key"]))
    assert settings(client_certificate=str(files["both"])).client_key is None
    monkeypatch.setenv(variable("client_certificate"), str(files["certificate"]))
    monkeypatch.setenv(variable("client_key"), str(files["key"]))
    assert settings().client_certificate == str(files["certificate"])


@pytest.mark.parametrize(
    "given",
    [
        {"certificate": "empty"},
        {"certificate": "garbage"},
        {"certificate": "key"},
        {"client_certificate": "certificate"},
        {"client_certificate": "garbage"},
        {"client_certificate": "certificate", "client_key": "other"},
        {"client_certificate": "certificate", "client_key": "locked"},
        {"client_certificate": "certificate", "client_key": "empty"},
        {"client_key": "key"},
    ],
)
def test_certificates_that_are_not_allowed(
    monkeypatch: pytest.MonkeyPatch, files: Files, given: dict[str, str]
) -> None:
    """The file is looked into at once, and an encrypted key is no question at the terminal."""
    with pytest.raises(ConfigurationError, match=f"^{next(iter(given))}"):
        settings(**{name: files[file] for name, file in given.items()})
    for name, file in given.items():
        monkeypatch.setenv(variable(name), str(files[file]))
    with pytest.raises(ConfigurationError, match=f"^{variable(next(iter(given)))}"):
        settings()

"""What the settings of the push exits may be: each check names the setting, the value and what is allowed."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from gangplank import checks
from gangplank.attributes import OF_METRICS
from gangplank.errors import ConfigurationError

_OURS = frozenset({"job", "phase", "model"})
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_TOKEN = re.compile(r"[\x21-\x7e]+")


def job(name: str, value: Any) -> str:  # noqa: ANN401 - what follows checks what they are given, too
    """Return a label value that is not empty."""
    return _encodable(name, checks.text(name, value))


def grouping_key(name: str, value: Any) -> dict[str, str]:  # noqa: ANN401
    """Return labels that are legal, and that nothing else is called."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping of label names to values, not {value!r}")
    for label, of in value.items():
        checks.label_name(name, label)
        if label in _OURS:
            raise ConfigurationError(f"{name} must not hold {label!r}: that label is set by Gangplank")
        if label in OF_METRICS:
            raise ConfigurationError(
                f"{name} must not hold {label!r}: metrics have a label of that name, which a group's would replace"
            )
        if not isinstance(of, str):
            raise TypeError(f"{name}[{label!r}] must be a string, not {of!r}")
        _encodable(f"{name}[{label!r}]", of)
    return dict(value)


def _one_of(*choices: str, fold: Callable[[str], str]) -> Callable[[str, Any], str]:
    def check(name: str, value: Any) -> str:  # noqa: ANN401
        choice = fold(checks.text(name, value).strip())
        if choice not in choices:
            raise ConfigurationError(f"{name} must be {' or '.join(map(repr, choices))}, got {value!r}")
        return choice

    return check


method = _one_of("PUT", "POST", fold=str.upper)
compression = _one_of("none", "gzip", fold=str.lower)
at_end = _one_of("keep", "delete", fold=str.lower)


def delay(name: str, value: Any) -> float:  # noqa: ANN401
    """Return seconds, or zero."""
    return 0.0 if not isinstance(value, bool) and value == 0 else checks.seconds(name, value)


def username(name: str, value: Any) -> str:  # noqa: ANN401
    """Return a user's name, which basic authentication ends at a colon."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {type(value).__name__}")
    if ":" in checks.text(name, value):
        raise ConfigurationError(f"{name} must not hold a colon (it is not shown: it may hold the password)")
    return str(value)


def password(name: str, value: Any) -> str:  # noqa: ANN401
    """Return a password; errors do not repeat it."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {type(value).__name__}")
    return value


def bearer_token(name: str, value: Any) -> str:  # noqa: ANN401
    """Return a token, without white space round it, such as the end of the line of a file; errors do not repeat it."""
    token = password(name, value).strip()
    if not _TOKEN.fullmatch(token):
        raise ConfigurationError(f"{name} must be printable ASCII characters without white space (it is not shown)")
    return token


def headers(name: str, value: Any) -> dict[str, str]:  # noqa: ANN401
    """Return HTTP headers; errors do not repeat their values."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping of header names to values, not {type(value).__name__}")
    for header, of in value.items():
        if not isinstance(header, str) or not isinstance(of, str):
            raise TypeError(f"{name} must be a mapping of strings to strings")
        if not _HEADER_NAME.fullmatch(header):
            raise ConfigurationError(f"{name} holds {header!r}, which cannot be the name of a header")
        if not _HEADER_VALUE.fullmatch(of) or not of.isascii() or of != of.strip():
            raise ConfigurationError(
                f"{name}[{header!r}] must be ASCII without line breaks, and without white space at its ends (it is "
                "not shown)"
            )
        if header.lower() in ("content-type", "content-encoding", "content-length", "host", "transfer-encoding"):
            raise ConfigurationError(f"{name} must not hold {header!r}: that depends on what is sent")
    return dict(value)


def file(name: str, value: Any) -> str:  # noqa: ANN401
    """Return the path of a file that can be read."""
    if not isinstance(value, (str, PathLike)):
        raise TypeError(f"{name} must be a path, not {value!r}")
    try:
        with Path(value).open("rb"):
            return str(value)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{name} must be a file that can be read, got {str(value)!r}: {error}") from None


def authorities(name: str, value: Any) -> str:  # noqa: ANN401
    """Return the path of a file of certificates."""
    path = file(name, value)
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigurationError(f"{name} must hold certificates in PEM, got {path!r}: {error}") from None
    return path


def together(values: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Check settings that depend on each other.

    Args:
        values: Those that there are, by name.
        names: What to call each.
    """
    _authentication(values, names)
    _client_certificate(values, names)
    if values["delete_delay"] and values["at_end"] != "delete":
        raise ConfigurationError(f"{names['delete_delay']} needs at_end='delete', got {values['at_end']!r}")


def _authentication(values: Mapping[str, Any], names: Mapping[str, str]) -> None:
    in_address = urlsplit(values["address"]).username is not None
    ways = {
        f"{names['address']} with a user": in_address,
        names["username"]: "username" in values,
        names["bearer_token"]: "bearer_token" in values,
        f"{names['headers']} with Authorization": "authorization" in map(str.lower, values.get("headers", {})),
    }
    found = [way for way, is_there in ways.items() if is_there]
    if len(found) > 1:
        raise ConfigurationError(f"{found[0]} and {found[1]} both say who is pushing: one of them must go")
    if "password" in values and "username" not in values:
        raise ConfigurationError(_needs(names["password"], "username"))
    if "username" in values and "password" not in values:
        raise ConfigurationError(_needs(names["username"], "password"))


def _needs(name: str, other: str) -> str:
    # Given in code, the one is not made whole by the environment.
    return f"{name} needs {other}{', given with it' if name.islower() else ' (or its environment variable)'}"


def _client_certificate(values: Mapping[str, Any], names: Mapping[str, str]) -> None:
    certificate, key = values.get("client_certificate"), values.get("client_key")
    if certificate is None:
        if key is not None:
            raise ConfigurationError(f"{names['client_key']} needs client_certificate (or its environment variable)")
        return
    try:
        # An empty password, so that an encrypted key is an error and not a question at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{names['client_certificate']} and its key must be PEM, and the key not encrypted, got {certificate!r} "
            f"and {key!r}: {error}"
        ) from None


def unquoted(parts: SplitResult) -> tuple[str, str]:
    """Return the user and the password that a URL holds."""
    return unquote(parts.username or ""), unquote(parts.password or "")


def _encodable(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{name} must be text that UTF-8 can hold, got {value!r}") from None
    return value

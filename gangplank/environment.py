"""Text of environment variables, as OpenTelemetry has it written, made into what arguments would hold."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from urllib.parse import unquote

from gangplank.errors import ConfigurationError

_BOOLEANS = {"true": True, "false": False}


def milliseconds(variable: str, text: str) -> float:
    """Return a number of milliseconds as seconds.

    Raises:
        ConfigurationError: it is no number above 0.
    """
    return _seconds(variable, text, "above 0", is_allowed=lambda value: value > 0)


def milliseconds_or_none(variable: str, text: str) -> float:
    """Return a number of milliseconds, or 0, as seconds.

    Raises:
        ConfigurationError: it is no number, or below 0.
    """
    return _seconds(variable, text, "of at least 0", is_allowed=lambda value: value >= 0)


def _seconds(variable: str, text: str, allowed: str, *, is_allowed: Callable[[float], bool]) -> float:
    try:
        value = float(text) / 1000
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and is_allowed(value)):
        raise ConfigurationError(f"{variable} must be a number of milliseconds {allowed}, such as 5000, got {text!r}")
    return value


def boolean(variable: str, text: str) -> bool:
    """Return whether it is ``true``, in upper or lower case.

    Raises:
        ConfigurationError: it is neither that nor ``false``.
    """
    try:
        return _BOOLEANS[text.strip().lower()]
    except KeyError:
        raise ConfigurationError(f"{variable} must be true or false, got {text!r}") from None


def pairs(variable: str, text: str) -> dict[str, str]:
    """Return ``name=value,name=value`` as a dictionary; percent signs encode what values cannot hold as they are.

    Raises:
        ConfigurationError: one of them has no ``=``, or there are two of one name. The message does not repeat values,
            which may be secret.
    """
    found: dict[str, str] = {}
    for pair in filter(str.strip, text.split(",")):
        name, equals, value = pair.partition("=")
        name = name.strip()
        if not equals:
            raise ConfigurationError(f"{variable} must be name=value, or several of them with commas between")
        if name in found:
            raise ConfigurationError(f"{variable} holds {name!r} twice")
        found[name] = unquote(value.strip())
    return found


def integer(variable: str, text: str) -> int:
    """Return a whole number.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        return int(text)
    except ValueError:
        raise ConfigurationError(f"{variable} must be a whole number, got {text!r}") from None


def names(variable: str, text: str) -> list[str]:  # noqa: ARG001 - as those above
    """Return ``name,name`` as a list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def numbers(variable: str, text: str) -> list[float]:
    """Return ``number,number`` as a list.

    Raises:
        ConfigurationError: one of them is no number.
    """
    try:
        return [float(number) for number in names(variable, text)]
    except ValueError:
        raise ConfigurationError(f"{variable} must be numbers with commas between, got {text!r}") from None


def numbers_or_auto(variable: str, text: str) -> list[float] | str:
    """Return ``number,number`` as a list, or ``auto``.

    Raises:
        ConfigurationError: it is neither.
    """
    return "auto" if text.strip() == "auto" else numbers(variable, text)


def number(variable: str, text: str) -> float:
    """Return a number.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(f"{variable} must be a number, got {text!r}") from None


def as_it_is(variable: str, text: str) -> str:  # noqa: ARG001 - as those above
    """Return the text."""
    return text


def service_name() -> str | None:
    """Return what OpenTelemetry's environment variables call this program, which the SDK need not be there to read.

    Raises:
        ConfigurationError: it is text that UTF-8 cannot hold.
    """
    attributes: dict[str, str] = {}
    for pair in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        name, _, value = pair.partition("=")
        attributes[name.strip()] = unquote(value.strip())
    service = os.environ.get("OTEL_SERVICE_NAME") or attributes.get("service.name")
    namespace = attributes.get("service.namespace")
    full = f"{namespace}/{service}" if service and namespace else service
    try:
        (full or "").encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES must be text that UTF-8 can hold, got {full!r}"
        ) from None
    return full

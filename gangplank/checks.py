"""Checks of arguments: each names the argument, the value it had and what is allowed."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterable
from itertools import pairwise
from numbers import Real
from typing import Any
from urllib.parse import urlsplit

from gangplank.errors import ConfigurationError

_LARGEST_PORT = 65535
_LABEL_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")


def text(argument: str, value: object) -> str:
    """Return ``value`` if it is a string with something in it.

    Raises:
        TypeError: it is not a string.
        ConfigurationError: it is empty or only white space.
    """
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be a string, not {value!r}")
    if not value.strip():
        raise ConfigurationError(f"{argument} must not be empty, got {value!r}")
    return value


def names(argument: str, value: object) -> frozenset[str] | None:
    """Return the names in ``value``, or None for None, which stands for all.

    Raises:
        TypeError: it is no list of strings.
        ConfigurationError: one of them is empty.
    """
    if value is None:
        return None
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"{argument} must be a list of metric names, not {value!r}")
    return frozenset(text(f"{argument}[{index}]", name) for index, name in enumerate(value))


def port(argument: str, value: object) -> int:
    """Return ``value`` if it is a TCP port, 0 included (the system then chooses one).

    Raises:
        TypeError: it is not an integer.
        ConfigurationError: it is outside 0 to 65535.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{argument} must be an integer, not {value!r}")
    if not 0 <= value <= _LARGEST_PORT:
        raise ConfigurationError(f"{argument} must be from 0 (any free port) to {_LARGEST_PORT}, got {value}")
    return value


def count(argument: str, value: object) -> int:
    """Return ``value`` if it is a whole number above zero.

    Raises:
        TypeError: it is no whole number.
        ConfigurationError: it is below 1.
    """
    return _whole(argument, value, 1)


def index(argument: str, value: object) -> int:
    """Return ``value`` if it is a whole number, or zero.

    Raises:
        TypeError: it is no whole number.
        ConfigurationError: it is below 0.
    """
    return _whole(argument, value, 0)


def _whole(argument: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{argument} must be a whole number, not {value!r}")
    if value < least:
        raise ConfigurationError(f"{argument} must be at least {least}, got {value!r}")
    return value


def seconds(argument: str, value: object) -> float:
    """Return ``value`` if it is a number of seconds above zero that can be waited for.

    Raises:
        TypeError: it is not a number.
        ConfigurationError: it is not above zero, or longer than the system can wait.
    """
    number = _real(argument, value)
    if not 0 < number <= threading.TIMEOUT_MAX:
        raise ConfigurationError(
            f"{argument} must be a number of seconds above 0 and at most {threading.TIMEOUT_MAX:.0f}, got {value!r}"
        )
    return number


def share(argument: str, value: object) -> float:
    """Return ``value`` if it is a share, above 0 and at most 1.

    Raises:
        TypeError: it is not a number.
        ConfigurationError: it is outside that.
    """
    number = _real(argument, value)
    if not 0 < number <= 1:
        raise ConfigurationError(f"{argument} must be above 0 and at most 1, got {value!r}")
    return number


def flag(argument: str, value: object) -> bool:
    """Return ``value`` if it is True or False.

    Raises:
        TypeError: it is neither.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{argument} must be True or False, not {value!r}")
    return value


def function(argument: str, value: Any) -> Any:  # noqa: ANN401 - the caller knows the signature
    """Return ``value`` if it can be called.

    Raises:
        TypeError: it cannot.
    """
    if not callable(value):
        raise TypeError(f"{argument} must be callable, not {value!r}")
    return value


def label_name(argument: str, value: object) -> str:
    """Return ``value`` if it is a legal Prometheus label name.

    Raises:
        TypeError: it is not a string.
        ConfigurationError: it has characters that are not allowed, or begins with ``__``.
    """
    name = text(argument, value)
    if not _LABEL_NAME.fullmatch(name):
        raise ConfigurationError(
            f"{argument} holds the label name {name!r}; allowed are letters, digits and _, not beginning with a digit "
            "or with __"
        )
    return name


def bucket_bounds(argument: str, value: object) -> tuple[float, ...]:
    """Return histogram bounds as floats: strictly increasing, no NaN, without a closing ``+Inf``.

    Args:
        argument: What the caller calls it.
        value: An iterable of numbers. A last bound of ``+Inf`` is accepted and dropped, as every histogram has it.

    Raises:
        TypeError: it is not an iterable of numbers.
        ConfigurationError: it is empty, not increasing, or holds NaN or ``-Inf``.
    """
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"{argument} must be a sequence of numbers, not {value!r}")
    bounds = [_real(f"{argument}[{index}]", bound) for index, bound in enumerate(value)]
    if bounds and bounds[-1] == math.inf:
        bounds.pop()
    if not bounds:
        raise ConfigurationError(f"{argument} must hold at least one finite bound, got {value!r}")
    if not all(math.isfinite(bound) for bound in bounds):
        raise ConfigurationError(f"{argument} must hold finite numbers (a last bound of +Inf aside), got {value!r}")
    if any(right <= left for left, right in pairwise(bounds)):
        raise ConfigurationError(f"{argument} must be sorted and without duplicates, got {value!r}")
    return tuple(bounds)


def http_url(argument: str, value: object) -> str:
    """Return ``host``, ``host:port`` or a http(s) URL as a URL without a trailing slash.

    Raises:
        TypeError: it is not a string.
        ConfigurationError: it has no host, a port that is none, another scheme, a query or a fragment. The message
            does not repeat an address that may hold a password.
    """
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be a string, not {type(value).__name__}")  # which may hold a password too
    address = text(argument, value).strip()
    problem = _url_problem(address)
    if problem:
        shown = repr(address) if "@" not in address else "the address given (not shown: it holds credentials)"
        raise ConfigurationError(f"{argument} {problem}: {shown}; allowed are 'host:port' and http:// or https:// URLs")
    return _as_url(address).rstrip("/")


def _as_url(address: str) -> str:
    return address if "://" in address else f"http://{address}"


def _url_problem(address: str) -> str | None:
    if any(character.isspace() for character in address):  # urlsplit would drop some, without a word
        return "has white space in it"
    try:
        parts = urlsplit(_as_url(address))
        port = parts.port
    except ValueError:
        return "is no address"
    problems = {
        f"has the scheme {parts.scheme!r}": parts.scheme not in ("http", "https"),
        "has no host": not parts.hostname,
        "has a scheme without //": parts.hostname in ("http", "https"),
        "has port 0, which nothing can listen on": port == 0,
        "has a query or a fragment": bool(parts.query or parts.fragment),
        "has an @ behind its host (in a password, / is %2F and @ is %40)": "@" in parts.path,
    }
    return next((problem for problem, found in problems.items() if found), None)


def _real(argument: str, value: object) -> float:
    # NumPy scalars register as Real; bool does too, and is never meant as a number here.
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{argument} must be a number, not {value!r}")
    return float(value)

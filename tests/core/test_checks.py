"""Checks of arguments: what they let through, and how they refuse the rest."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gangplank import ConfigurationError, GangplankError, checks

Check = Callable[[str, Any], Any]


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (checks.text, 3),
        (checks.text, None),
        (checks.text, b"job"),
        (checks.port, "9091"),
        (checks.port, 9091.0),
        (checks.port, True),
        (checks.port, None),
        (checks.seconds, "5"),
        (checks.seconds, None),
        (checks.seconds, False),
        (checks.seconds, 1j),
        (checks.function, "print"),
        (checks.function, None),
        (checks.label_name, 1),
        (checks.bucket_bounds, 1.0),
        (checks.bucket_bounds, None),
        (checks.bucket_bounds, "0.1"),
        (checks.bucket_bounds, b"\x00\x01"),
        (checks.bucket_bounds, ["0.1"]),
        (checks.bucket_bounds, [0.0, True]),
        (checks.bucket_bounds, [0.0, None]),
        (checks.bucket_bounds, [[0.0], [1.0]]),
        (checks.http_url, 9091),
        (checks.http_url, None),
        (checks.http_url, b"localhost:9091"),
    ],
)
def test_a_wrong_type_is_a_type_error_that_names_the_argument(check: Check, value: object) -> None:
    """A value of another type is refused with Python's own TypeError."""
    with pytest.raises(TypeError, match=r"^the_argument") as caught:
        check("the_argument", value)
    assert not isinstance(caught.value, GangplankError)


@pytest.mark.parametrize(
    ("check", "value", "shown"),
    [
        (checks.text, "", "''"),
        (checks.text, " \t", r"' \\t'"),
        (checks.port, -1, "-1"),
        (checks.port, 65536, "65536"),
        (checks.seconds, 0, "0"),
        (checks.seconds, -0.5, "-0.5"),
        (checks.seconds, math.inf, "inf"),
        (checks.seconds, math.nan, "nan"),
        (checks.label_name, "", "''"),
        (checks.label_name, "a-b", "'a-b'"),
        (checks.label_name, "1a", "'1a'"),
        (checks.label_name, "__a", "'__a'"),
        (checks.label_name, "a\n", r"'a\\n'"),
        (checks.label_name, "é", "'é'"),
        (checks.bucket_bounds, [], r"\[\]"),
        (checks.bucket_bounds, [math.inf], r"\[inf\]"),
        (checks.bucket_bounds, [0.2, 0.1], r"\[0.2, 0.1\]"),
        (checks.bucket_bounds, [0.1, 0.1], r"\[0.1, 0.1\]"),
        (checks.bucket_bounds, [0.0, -0.0], r"\[0.0, -0.0\]"),
        (checks.bucket_bounds, [0.1, math.nan], r"\[0.1, nan\]"),
        (checks.bucket_bounds, [-math.inf, 0.1], r"\[-inf, 0.1\]"),
        (checks.bucket_bounds, [math.inf, 1.0], r"\[inf, 1.0\]"),
        (checks.bucket_bounds, [1.0, math.inf, math.inf], r"\[1.0, inf, inf\]"),
    ],
)
def test_a_bad_value_is_a_configuration_error_that_shows_it(check: Check, value: object, shown: str) -> None:
    """A value that is not allowed is refused by name, and shown as it was given."""
    with pytest.raises(ConfigurationError, match=f"^the_argument .*{shown}") as caught:
        check("the_argument", value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (checks.text, " a "),
        (checks.port, 0),
        (checks.port, 65535),
        (checks.seconds, 0.001),
        (checks.function, print),
        (checks.label_name, "_a1"),
        (checks.label_name, "Instance"),
    ],
)
def test_a_good_value_comes_back_as_it_is(check: Check, value: object) -> None:
    """What is allowed is returned unchanged, limits included."""
    assert check("the_argument", value) == value


@pytest.mark.parametrize(
    ("given", "bounds"),
    [
        ([-1, 0, 2], (-1.0, 0.0, 2.0)),
        ((0.5,), (0.5,)),
        ([0.5, math.inf], (0.5,)),
        (range(3), (0.0, 1.0, 2.0)),
        (np.array([0.25, 0.5], dtype=np.float32), (0.25, 0.5)),
        (np.arange(2), (0.0, 1.0)),
        ([np.float64(0.5), np.int8(1)], (0.5, 1.0)),
    ],
)
def test_bucket_bounds_become_floats_without_the_closing_infinity(given: object, bounds: tuple[float, ...]) -> None:
    """Any increasing numbers will do, NumPy's too, and come back as Python floats."""
    found = checks.bucket_bounds("histogram_buckets", given)
    assert found == bounds
    assert {type(bound) for bound in found} == {float}


def test_a_numpy_scalar_is_a_number_of_seconds() -> None:
    """Numbers may come out of NumPy."""
    assert checks.seconds("timeout", np.float32(0.5)) == 0.5


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("localhost", "http://localhost"),
        ("localhost:9091", "http://localhost:9091"),
        (" localhost:9091 ", "http://localhost:9091"),
        ("localhost:9091/", "http://localhost:9091"),
        ("http://gateway.example:9091", "http://gateway.example:9091"),
        ("https://gateway.example/prefix/", "https://gateway.example/prefix"),
        ("HTTPS://gateway.example", "HTTPS://gateway.example"),
        ("[::1]:9091", "http://[::1]:9091"),
        ("http://[::1]", "http://[::1]"),
        ("user:word@localhost:9091", "http://user:word@localhost:9091"),
    ],
)
def test_an_address_becomes_a_url(address: str, url: str) -> None:
    """Hosts, ports and URLs are taken, and a trailing slash goes."""
    assert checks.http_url("address", address) == url


@pytest.mark.parametrize(
    "address",
    [
        "",
        ":9091",
        "http://",
        "http://:9091",
        "http:///metrics",
        "localhost:0",
        "localhost:65536",
        "localhost:port",
        "localhost:-1",
        "::1:9091",
        "[::1:9091",
        "ftp://localhost:9091",
        "unix:///run/gateway",
        "local host:9091",
        "local\thost:9091",
        "localhost\n:9091",
        "http://localhost:9091/?debug=1",
        "http://localhost:9091/#top",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    """No host, an impossible port, another scheme, white space, a query: each is refused by name."""
    with pytest.raises(ConfigurationError, match=r"^address"):
        checks.http_url("address", address)


@pytest.mark.parametrize(
    "address",
    [
        "http://user:hunter2@",
        "http://user:hunter2@localhost:99999",
        "http://user:hunter2@localhost:port",
        "ftp://user:hunter2@localhost",
        "http://user:hunter2@local host",
        "user:hunter2@localhost?a=b",
        "http://user:hunter2@[::1",
        "http://user:hunter2/with-a-slash@localhost:9091",
        "http://user:hunter2#with-a-hash@localhost:9091",
    ],
)
def test_a_refusal_never_repeats_a_password(address: str) -> None:
    """Neither the message nor the traceback that a program would log shows the password."""
    with pytest.raises(ConfigurationError, match=r"^address") as caught:
        checks.http_url("address", address)
    assert "hunter2" not in str(caught.value)
    # The frames' source lines are this file's, so only the exceptions themselves are looked at.
    assert "hunter2" not in "".join(traceback.format_exception(caught.value, limit=0))


def test_an_address_of_the_wrong_type_is_not_repeated_either() -> None:
    """An address in bytes may hold a password just as well."""
    with pytest.raises(TypeError, match=r"^address") as caught:
        checks.http_url("address", b"http://user:hunter2@localhost")
    assert "hunter2" not in str(caught.value)

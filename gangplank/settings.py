"""Settings that arguments and environment variables share: a table of them, and what its rows come to."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from gangplank import environment

ARGUMENT = "argument"
"""The source of a setting that is in the code."""

DEFAULT = "default"
"""The source of a setting that nobody made."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        name: The argument.
        variable: The environment variable.
        about: What it says, in a sentence.
        check: Returns the value, given what to call it, if it is allowed.
        read: Makes the text of the variable a value.
        default: What it is when nobody says; in the variable's form.
        secret: It is not to be shown.
    """

    name: str
    variable: str
    about: str
    check: Callable[[str, Any], Any]
    read: Callable[[str, str], Any] = environment.as_it_is
    default: str = ""
    secret: bool = False


class Others(TypedDict, total=False):
    """Where else a setting comes from: more variables, in order, and other defaults, in the form of a variable.

    And what to call arguments in errors, if not by their names.
    """

    fallbacks: Mapping[str, tuple[str, ...]]
    defaults: Mapping[str, str]
    names: Mapping[str, str]


def settled(
    table: Sequence[Setting], given: Mapping[str, Any], *, in_code: Collection[str] = (), **others: Unpack[Others]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return settings: as they are given, or else as the environment has them, or else as by default.

    Args:
        table: What settings there are.
        given: By name; None is not given.
        in_code: Settings of which the environment is not asked.
        **others: What else to look at.

    Returns:
        By name the values of those that have one; and of all of them the environment variable that they come from,
        :data:`ARGUMENT` or :data:`DEFAULT`.

    Raises:
        TypeError: an argument has the wrong type, or there is no such setting.
        ConfigurationError: a value that is not allowed; the message names the argument or the variable.
    """
    unknown = given.keys() - {setting.name for setting in table}
    if unknown:
        raise TypeError(f"there is no setting {min(unknown)!r}; there are {', '.join(s.name for s in table)}")
    fallbacks, defaults = others.get("fallbacks", {}), others.get("defaults", {})
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for setting in table:
        name, source = setting.name, ARGUMENT
        if given.get(name) is not None:
            value = setting.check(others.get("names", {}).get(name, name), given[name])
        else:
            variables = () if name in in_code else (setting.variable, *fallbacks.get(name, ()))
            source = next((one for one in variables if os.environ.get(one, "").strip()), DEFAULT)
            text = defaults.get(name, setting.default) if source == DEFAULT else os.environ[source]
            value = setting.check(source, setting.read(source, text)) if text.strip() else None
        if value is not None:
            values[name] = value
        sources[name] = source
    return values, sources

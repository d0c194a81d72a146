"""Attributes of every series of a telemetry, beside what each has of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gangplank import checks
from gangplank.catalogue import CATALOGUE
from gangplank.cells import Labels
from gangplank.errors import ConfigurationError
from gangplank.naming import encodable

_MOST = 10
"""They multiply nothing, but each is stored with each series."""

OF_METRICS = frozenset(name for row in CATALOGUE for name in row.attributes) | {"le", "quantile"}
"""What metrics call their own labels."""

_TAKEN = OF_METRICS | {name for row in CATALOGUE for name in row.optional} | {"job", "instance", "phase"}
"""These, and what groups at a gateway and scrapes do."""


def common_labels(argument: str, value: Any) -> Labels:  # noqa: ANN401 - checked here
    """Return ``value`` as labels, in the order in which they were given.

    Raises:
        TypeError: it is no mapping of strings to strings.
        ConfigurationError: a name that cannot be a label's, or is another one's; a value that is empty; too many.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"{argument} must be a mapping of names to values, not {value!r}")
    if len(value) > _MOST:
        raise ConfigurationError(f"{argument} must be {_MOST} at the most, got {len(value)}")
    for name, text in value.items():
        checks.label_name(argument, name)
        if name in _TAKEN:
            raise ConfigurationError(f"{argument} must not hold {name!r}: metrics have a label of that name")
        checks.text(f"{argument}[{name!r}]", text)
    return tuple((name, encodable(text)) for name, text in value.items())

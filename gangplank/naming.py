"""From what a framework calls a metric to a legal, unreserved, unambiguous name.

Pure functions and one small table: no state of a run, no I/O.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from gangplank.catalogue import reserved_suffixes
from gangplank.metrics import Phase

_logger = logging.getLogger("gangplank.naming")
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_]")
_RUNS = re.compile(r"_+")

RESERVED_SUFFIX = "_metric"
"""What is appended to a metric whose own name is in the catalogue: ``running`` becomes ``running_metric``."""

_SAME_FACT = {Phase.TRAIN: frozenset({"learning_rate"})}
"""Reserved names that a log may fill all the same: there it states the very fact that the catalogue means."""

_LONGEST = 200
"""OpenTelemetry allows 255 characters in a name, and the prefix and a histogram's parts need some of them."""


def legal(key: str) -> str:
    """Return ``key`` with every character that Prometheus or OpenTelemetry would refuse turned into ``_``.

    A name that was legal is returned as it is, upper case and repeated underscores included, since it is what
    dashboards already ask for.
    """
    return _ILLEGAL.sub("_", key)[:_LONGEST] or "_"


def encodable(label: str) -> str:
    """Replace what UTF-8 cannot hold (half a surrogate pair, from a file's name), which no exit could write."""
    return label.encode("utf-8", "replace").decode()


def canonical(name: str) -> str:
    """Return the form in which names are compared.

    OpenTelemetry ignores case and its Prometheus exporters collapse repeated underscores, so names that differ
    only in these would be merged by some exit.
    """
    return _RUNS.sub("_", name.lower()).strip("_")


class Names:
    """The names given in one phase: each key gets one, no two keys get the same, and it stays for good.

    Args:
        phase: Training or evaluation; decides which names are reserved.
    """

    def __init__(self, phase: Phase) -> None:
        self._phase = phase
        self._reserved = reserved_suffixes(phase) - _SAME_FACT.get(phase, frozenset())
        self._given: dict[str, str] = {}
        self._taken: set[str] = set()

    def give(self, keys: Iterable[str]) -> dict[str, str]:
        """Return the name of each key.

        Among keys that are new, those that are legal as they stand choose first, and of these those in lower case:
        ``a_b`` stays ``a_b`` and ``a/b`` becomes ``a_b_2``, ``loss`` stays ``loss`` and ``Loss`` becomes ``Loss_2``,
        whatever their order.
        """
        keys = list(keys)
        new = [key for key in keys if key not in self._given]
        for key in sorted(new, key=lambda key: (legal(key) != key, key != key.lower())):
            self._given[key] = self._choose(key)
        return {key: self._given[key] for key in keys}

    def _choose(self, key: str) -> str:
        wanted = legal(key)
        name = wanted
        if canonical(name) in self._reserved:
            name = wanted + RESERVED_SUFFIX
        base, number = name, 2
        while canonical(name) in self._taken or canonical(name) in self._reserved:
            name = f"{base}_{number}"
            number += 1
        self._taken.add(canonical(name))
        if name != wanted:
            _logger.warning(
                "the metric %r is exported as gangplank_%s_%s, since gangplank_%s_%s is another metric",
                key,
                self._phase.value,
                name,
                self._phase.value,
                wanted,
            )
        return name

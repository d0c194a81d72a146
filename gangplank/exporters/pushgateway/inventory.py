"""What groups a gateway has, as its own metrics tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

_PUSHED, _REFUSED = "push_time_seconds", "push_failure_time_seconds"

LARGEST_PAGE = 32 * 2**20
"""Bytes of a gateway's page that are read at the most."""


@dataclass(frozen=True, slots=True)
class Held:
    """A group at a gateway.

    Attributes:
        labels: All its labels; one that is empty is none.
        pushed: The Unix time at which it was last pushed; 0 if it never was.
        refused: The Unix time at which a push to it was last refused; 0 if none was.
    """

    labels: frozenset[tuple[str, str]]
    pushed: float
    refused: float


def inventory(page: str) -> list[Held]:
    """Return the groups that a gateway's metrics page tells of."""
    lines = (line for line in page.split("\n") if line.startswith(("push_time_", "push_failure_time_")))
    times: dict[frozenset[tuple[str, str]], dict[str, float]] = {}
    for family in text_string_to_metric_families("".join(f"{line}\n" for line in lines)):
        for sample in family.samples:
            times.setdefault(labels_of_group(sample.labels.items()), {})[sample.name] = sample.value
    return [Held(labels, of.get(_PUSHED, 0), of.get(_REFUSED, 0)) for labels, of in times.items()]


def labels_of_group(labels: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Return labels in the form that tells groups apart."""
    return frozenset((name, value) for name, value in labels if value)

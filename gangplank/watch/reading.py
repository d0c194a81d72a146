"""What was read of a server at one moment, and which metrics are read at all."""

from __future__ import annotations

from dataclasses import dataclass

from gangplank.catalogue import CATALOGUE, metric
from gangplank.errors import GangplankError
from gangplank.metrics import Kind, Phase

Labels = frozenset[tuple[str, str]]

LATENCY = metric(Phase.PREDICT, "duration").prometheus_name
WEIGHTS = {phase: metric(phase, "model_weights").prometheus_name for phase in (Phase.TRAIN, Phase.TEST)}
_WITH_BUCKETS = {LATENCY, *WEIGHTS.values()}
"""What is drawn by its buckets."""

MOST_SAMPLES = 20_000
"""Samples of one reading that are looked at."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One series at one moment."""

    name: str
    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What a server had at one moment.

    Attributes:
        time: Unix time, by the clock of whoever took it.
        samples: Of Gangplank's metrics.
        left_out: How many samples more there were than are looked at.
    """

    time: float
    samples: tuple[Sample, ...]
    left_out: int = 0


class ReadingError(GangplankError, OSError):
    """A server could not be read; the message says why, in a sentence."""


def _unread() -> frozenset[str]:
    names: set[str] = set()
    for row in CATALOGUE:
        name = row.prometheus_name
        if "layer" in row.attributes:
            names |= {name, f"{name}_bucket", f"{name}_sum", f"{name}_count"}
        elif row.kind in (Kind.HISTOGRAM, Kind.SNAPSHOT) and name not in _WITH_BUCKETS:
            names.add(f"{name}_bucket")
    return frozenset(names)


UNREAD = _unread()
"""Samples of ours that nothing is drawn of: the many that distributions and layers have."""


def is_read(name: str) -> bool:
    """Whether samples of that name are looked at."""
    return name.startswith("gangplank_") and name not in UNREAD

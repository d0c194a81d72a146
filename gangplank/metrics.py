"""What a metric is: the vocabulary in which the catalogue is written.

Names are OpenTelemetry instrument names, which carry neither unit nor ``_total``; :attr:`Metric.prometheus_name` is
what Prometheus shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a metric measures, in Prometheus's terms where it has one."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    """Observations that accumulate, such as durations."""
    SNAPSHOT = "snapshot"
    """The distribution of values at one moment, such as weights: it is replaced, and its counts may fall."""


class Phase(Enum):
    """Which part of a model's life a metric belongs to; the value follows ``gangplank_`` in its name."""

    TRAIN = "train"
    TEST = "test"
    PREDICT = "predict"
    EXPORT = "export"


class Union(Enum):
    """What several gauges of one series are together, where an exit shows them as one."""

    NEWEST = "newest"
    """The one that was set last."""
    GREATEST = "greatest"
    """The greatest of them: of times, the latest."""
    SUM = "sum"


class Outcome(Enum):
    """How a run ended."""

    SUCCESS = "success"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    DIVERGED = "diverged"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        phase: Which part of a model's life it belongs to.
        suffix: Its name behind ``gangplank_<phase>_``, without unit or ``_total``; empty if nothing is left then.
        kind: What it measures.
        description: One sentence; the HELP line and the OpenTelemetry description.
        unit: ``"s"``, an annotation such as ``"{step}"``, or empty.
        attributes: The attribute keys (labels) of every series.
        bounds: Upper-inclusive bucket bounds of a histogram.
        union: What gauges of several threads, telemetries or processes are together; counts are added in any case.
        durable: It outlives a run: what the last run left at a gateway stands until a later run says otherwise.
        predecessor: gangplank 0.5.0 had it; name, type and meaning are frozen.
    """

    phase: Phase
    suffix: str
    kind: Kind
    description: str
    unit: str = ""
    attributes: tuple[str, ...] = ("model",)
    bounds: tuple[float, ...] = ()
    union: Union = Union.NEWEST
    durable: bool = False
    predecessor: bool = False

    @property
    def optional(self) -> tuple[str, ...]:
        """Attribute keys that a series may have beside: the process of a distributed run, or the detector of drift."""
        if self.phase in (Phase.TRAIN, Phase.TEST):
            return ("rank",)
        return ("detector",) if self.suffix.startswith("drift_") and "detector" not in self.attributes else ()

    @property
    def name(self) -> str:
        """The OpenTelemetry instrument name."""
        return f"gangplank_{self.phase.value}_{self.suffix}".rstrip("_")

    @property
    def prometheus_name(self) -> str:
        """The name in Prometheus: with ``_seconds`` and, for a counter, ``_total``."""
        seconds = "_seconds" if self.unit == "s" else ""
        total = "_total" if self.kind is Kind.COUNTER else ""
        return self.name + seconds + total

    @property
    def prometheus_type(self) -> str:
        """The TYPE in Prometheus's exposition."""
        return "histogram" if self.kind is Kind.SNAPSHOT else self.kind.value

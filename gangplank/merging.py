"""Several sources of series read as one, for an exit that shows them all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gangplank.cells import Labels
from gangplank.distribution import Distribution
from gangplank.metrics import Kind, Metric, Phase, Union
from gangplank.series import Value, together

Run = tuple[Phase, str, Labels]
"""A run, by its phase, its model, and what else all of its series are labelled with."""


@dataclass(frozen=True, slots=True)
class Point:
    """One series at the moment of reading."""

    labels: Labels
    value: float | Distribution


@dataclass(frozen=True, slots=True)
class Family:
    """One metric and all its series at the moment of reading."""

    metric: Metric
    points: tuple[Point, ...]


class Source(Protocol):
    """Series that an exit shows: a state, or what other processes have written down."""

    @property
    def runs(self) -> Mapping[Run, int]:
        """The runs whose series it has, each with a number that is greater the later it began."""
        ...

    @property
    def includes(self) -> Collection[Source]:
        """Other sources whose series it has, too."""
        ...

    def series_now(self, only: Metric | None = None) -> list[tuple[Metric, list[tuple[Labels, Value]]]]:
        """Return the labels and the value of all series, or of those of one metric; None is that of one without."""
        ...


def merge(sources: Iterable[Source], *, only: Metric | None = None) -> list[Family]:
    """Read several sources as one, for an exit that serves them all.

    Where two have the same series, counts are added, and gauges united as their metric says; of those of which the
    newest counts, a later source's value stands. Of what belongs to a run, the source in which the newest run of that
    model began has the say, also where it has nothing.

    Args:
        sources: The sources, oldest first.
        only: Read just this metric.
    """
    sources = tuple(sources)
    newest: dict[Run, int] = {}
    for source in sources:
        for begun, number in dict(source.runs).items():
            newest[begun] = max(number, newest.get(begun, 0))
    merged: dict[Metric, dict[Labels, Value]] = {}
    for source in sources:
        for metric, series in source.series_now(only):
            values = merged.setdefault(metric, {})
            for labels, value in series:
                run = run_of(metric, dict(labels))
                if run is None or source.runs.get(run) == newest.get(run):
                    values[labels] = unite(metric, values.get(labels), value)
    families = (
        Family(metric, tuple(Point(labels, value) for labels, value in values.items() if value is not None))
        for metric, values in merged.items()
    )
    return [family for family in families if family.points]


def run_of(metric: Metric, attributes: Mapping[str, str]) -> Run | None:
    """Return the run that a series belongs to, if it ends with it."""
    if metric.durable or metric.kind in (Kind.COUNTER, Kind.HISTOGRAM) or "model" not in attributes:
        return None
    others = tuple((key, value) for key, value in attributes.items() if key not in metric.attributes)
    return metric.phase, attributes["model"], others


def unite(metric: Metric, before: Value, value: Value) -> Value:
    """Return what two values of one series are together, of which ``value`` is the newer."""
    if isinstance(before, (int, float)) and isinstance(value, (int, float)):
        if metric.kind is Kind.COUNTER:
            return before + value
        return together(metric.union, [(0, before), (1, value)])
    if metric.kind is Kind.HISTOGRAM and isinstance(before, Distribution) and isinstance(value, Distribution):
        return before + value
    return before if metric.union is not Union.NEWEST and value is None else value

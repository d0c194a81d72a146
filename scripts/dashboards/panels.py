"""The vocabulary in which dashboards are written down, and the queries that they share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gangplank.catalogue import CATALOGUE, metric
from gangplank.metrics import Kind, Metric, Phase


class Look(Enum):
    """How a panel shows what its queries give."""

    LINES = "lines"
    NUMBERS = "numbers"
    """The last values, large."""
    STATES = "states"
    """What lasted from when to when; values are those of :data:`STATES`."""
    HEATMAP = "heatmap"
    LABELS = "labels"
    """A table of the labels of series that are always 1."""


STATES = {1: ("running", "blue"), 2: ("success", "green"), 3: ("interrupted", "yellow"), 4: ("failed", "red")}
STATES |= {5: ("diverged", "purple")}
_ENDINGS = {text: number for number, (text, _) in STATES.items() if number > 1}


@dataclass(frozen=True)
class Query:
    """A query.

    Attributes:
        expression: In PromQL, with Grafana's variables.
        legend: What its series are called.
    """

    expression: str
    legend: str = "{{job}} {{model}}"


@dataclass(frozen=True)
class Panel:
    """A panel.

    Attributes:
        title: What it shows.
        description: How to read it.
        queries: What is asked.
        unit: Grafana's name of the unit.
        look: How it is shown.
        width: In 24ths of the page.
        red_from: What a value is alarming from.
    """

    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str = "short"
    look: Look = Look.LINES
    width: int = 12
    red_from: float | None = None


@dataclass(frozen=True)
class Dashboard:
    """A dashboard: rows of panels, states first.

    Attributes:
        name: Of its file.
        title: Of the page.
        description: What it is for.
        models: A query of the label values that the variable ``model`` has.
        rows: Panels by the title of their row.
    """

    name: str
    title: str
    description: str
    models: str
    rows: dict[str, tuple[Panel, ...]]


def series(phase: Phase, suffix: str, *labels: str, part: str = "") -> str:
    """Return a selector of the catalogue's metric, of the jobs and models that were chosen.

    Args:
        phase: Its phase.
        suffix: Its name behind the phase.
        labels: More matchers.
        part: ``_bucket``, ``_sum`` or ``_count`` of a histogram.
    """
    row = metric(phase, suffix)
    chosen = ['job=~"$job"', *(['model=~"$model"'] if "model" in row.attributes else []), *labels]
    return f"{row.prometheus_name}{part}{{{', '.join(chosen)}}}"


def about(phase: Phase, suffix: str) -> str:
    """Return what the catalogue says of a metric."""
    return metric(phase, suffix).description


def gauge(phase: Phase, suffix: str, by: str = "job, model") -> str:
    """Return a query of a gauge; of several processes, the greatest."""
    return f"max by ({by}) ({series(phase, suffix)})"


def rate(phase: Phase, suffix: str, *labels: str, by: str = "job, model", part: str = "") -> str:
    """Return a query of how fast a counter grows, per second, summed over processes."""
    return f"sum by ({by}) (rate({series(phase, suffix, *labels, part=part)}[$__rate_interval]))"


def quantiles(phase: Phase, suffix: str, *labels: str, by: str = "job, model", legend: str) -> tuple[Query, ...]:
    """Return queries of three quantiles of a histogram."""
    buckets = rate(phase, suffix, *labels, by=f"{by}, le", part="_bucket")
    return tuple(Query(f"histogram_quantile({q}, {buckets})", f"{legend} p{q * 100:.0f}") for q in (0.5, 0.9, 0.99))


def state(phase: Phase) -> Query:
    """Return a query of what a run does, or how it ended, as the numbers of :data:`STATES`."""
    parts = [f"{series(phase, 'running')} == 1"] if phase is Phase.TRAIN else []
    for outcome, number in _ENDINGS.items():
        ended_so = series(phase, "outcome", f'outcome="{outcome}"')
        parts.append(f"{number} * ({ended_so} == 1)")
    return Query(f"max by (job, model) ({' or '.join(parts)})")


def since(phase: Phase, suffix: str, by: str = "job, model") -> str:
    """Return a query of the seconds since a time stamp."""
    return f"time() - {gauge(phase, suffix, by)}"


def own_metrics(phase: Phase, *but: str) -> Query:
    """Return a query of the model's own metrics: what begins as they do, and is not in the catalogue.

    Args:
        phase: Training or evaluation.
        but: Others that are left out.
    """
    prefix = f"gangplank_{phase.value}_"
    names = "|".join([*(_rest_of(row) for row in CATALOGUE if row.phase is phase), *but])
    others = f'__name__!~"{prefix}({names})"'
    return Query(
        f'{{__name__=~"{prefix}.+", {others}, job=~"$job", model=~"$model"}}', "{{__name__}} {{job}} {{model}}"
    )


def _rest_of(row: Metric) -> str:
    rest = row.prometheus_name.removeprefix(f"gangplank_{row.phase.value}_")
    return f"{rest}_(bucket|count|sum)" if row.kind in (Kind.HISTOGRAM, Kind.SNAPSHOT) else rest

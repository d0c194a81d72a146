"""How what is to be pushed is divided among a Pushgateway's groups.

A gateway keeps what it was last sent, for ever, and a PUT replaces a whole group. So that nothing stays on show that is
no longer true, and nothing is erased that still is, metrics go to several groups:

- ``{job, phase="train"}``, ``{job, phase="test"}`` and ``{job, phase="predict"}``, by PUT: all that a run says of
  itself. A newer run replaces it whole, a metric that it no longer has included; evaluating leaves training alone, also
  from another process.
- ``{job, model}``, by POST, which replaces metric by metric: what outlives a run, such as the time of the last success.
- ``{job}``: the export's own numbers, by POST, and with them, in a program that is instrumented with OpenTelemetry,
  whatever else it measures, by PUT.

A group is sent only when something in it has changed: a process that trained long ago and evaluates now must not put
its training over that of a process which trained since. A model's lasting facts are compared with those last delivered,
since a run of another model changes nothing in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import generate_latest
from prometheus_client.core import Metric as PrometheusMetric
from prometheus_client.samples import Sample

from gangplank.exporters.exposition import Collected, to_prometheus
from gangplank.merging import Family
from gangplank.metrics import Phase

RUN_PHASES = (Phase.TRAIN, Phase.TEST, Phase.PREDICT)


@dataclass(frozen=True, slots=True)
class Member:
    """One metric of a group.

    Attributes:
        phase: The part of a model's life that it belongs to; None if it is not Gangplank's.
        durable: It outlives a run.
        metric: The metric and its samples.
    """

    phase: Phase | None
    durable: bool
    metric: PrometheusMetric


@dataclass(frozen=True, slots=True)
class Group:
    """What goes to one group of a gateway.

    Attributes:
        part: Tells it from other groups, and from other parts of the same one.
        method: ``PUT`` replaces the group, ``POST`` adds to it.
        labels: The group's labels beside ``job`` and the user's grouping key.
        body: The metrics, in Prometheus's text format.
    """

    part: str
    method: str
    labels: tuple[tuple[str, str], ...]
    body: bytes


def members(families: Iterable[Family]) -> list[Member]:
    """Return families that were read of a state as members of groups."""
    return [Member(family.metric.phase, family.metric.durable, to_prometheus(family)) for family in families]


def of_runs(everything: Iterable[Member], method: str) -> Iterator[Group]:
    """Yield the groups of what runs say, and of what outlives them.

    Args:
        everything: All members.
        method: Replaces the groups of runs, or adds to them.
    """
    everything = list(everything)
    for phase in RUN_PHASES:
        of_phase = [member for member in everything if member.phase is phase]
        passing = [member.metric for member in of_phase if not member.durable]
        if passing:
            yield Group(phase.value, method, (("phase", phase.value),), text(passing))
        yield from _of_models(phase, [member.metric for member in of_phase if member.durable])


def _of_models(phase: Phase, lasting: list[PrometheusMetric]) -> Iterator[Group]:
    models = {_model(sample) for metric in lasting for sample in metric.samples}
    for model in sorted(models):
        of_model = [_only(metric, model) for metric in lasting]
        yield Group(f"{phase.value} of {model}", "POST", (("model", model),), text(of_model))


def _only(metric: PrometheusMetric, model: str) -> PrometheusMetric:
    chosen = PrometheusMetric(metric.name, metric.documentation, metric.type)
    chosen.samples = [sample for sample in metric.samples if _model(sample) == model]
    return chosen


def _model(sample: Sample) -> str:
    return sample.labels.get("model", "")  # to OpenTelemetry, an empty one is none


def text(metrics: Iterable[PrometheusMetric]) -> bytes:
    """Return metrics in Prometheus's text format; those without a sample are left out."""
    return generate_latest(Collected(metric for metric in metrics if metric.samples))

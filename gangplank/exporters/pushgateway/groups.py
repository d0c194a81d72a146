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

Each process of a distributed run has groups of its own, by the label ``rank``: a PUT would replace what another said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import generate_latest
from prometheus_client.core import Metric as PrometheusMetric
from prometheus_client.samples import Sample

from gangplank.exporters.exposition import Collected, to_prometheus
from gangplank.exporters.pushgateway.families import united
from gangplank.merging import Family
from gangplank.metrics import Phase
from gangplank.trouble import Trouble

RUN_PHASES = (Phase.TRAIN, Phase.TEST, Phase.PREDICT)


@dataclass(frozen=True, slots=True)
class Member:
    """One metric of a group.

    Attributes:
        phase: The part of a model's life that it belongs to; None if it is not Gangplank's.
        durable: It outlives a run.
        metric: The metric and its samples.
        rank: Which process of a distributed run it is of; empty if it is of none.
    """

    phase: Phase | None
    durable: bool
    metric: PrometheusMetric
    rank: str = ""


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
    return [
        member
        for family in families
        for member in by_rank(family.metric.phase, to_prometheus(family), durable=family.metric.durable)
    ]


def by_rank(phase: Phase | None, metric: PrometheusMetric, *, durable: bool) -> Iterator[Member]:
    """Yield a metric as members of groups, one for each process of a distributed run: the group says which it is."""
    if phase is None or not any("rank" in sample.labels for sample in metric.samples):
        yield Member(phase, durable, metric)
        return
    samples: dict[str, list[Sample]] = {}
    for sample in metric.samples:
        labels = dict(sample.labels)
        rank = labels.pop("rank", "")
        samples.setdefault(rank, []).append(Sample(sample.name, labels, sample.value))
    for rank, of_rank in samples.items():
        part = PrometheusMetric(metric.name, metric.documentation, metric.type)
        part.samples = of_rank
        yield Member(phase, durable, part, rank)


def of_runs(everything: Iterable[Member], method: str) -> Iterator[Group]:
    """Yield the groups of what runs say, and of what outlives them.

    Args:
        everything: All members.
        method: Replaces the groups of runs, or adds to them.
    """
    everything = list(everything)
    for phase in RUN_PHASES:
        of_phase = [member for member in everything if member.phase is phase]
        for rank in sorted({member.rank for member in of_phase}):
            of_rank = [member for member in of_phase if member.rank == rank]
            passing = [member.metric for member in of_rank if not member.durable]
            if passing:
                labels = (("phase", phase.value), *label_of(rank))
                yield Group(f"{phase.value} {rank}", method, labels, text(passing))
            yield from _of_models(phase, rank, [member.metric for member in of_rank if member.durable])


def has_others(everything: Iterable[Member]) -> bool:
    """Whether there is anything that is not of a run."""
    return any(member.phase not in RUN_PHASES for member in everything)


def of_rest(everything: Iterable[Member], method: str, trouble: Trouble) -> Group:
    """Return the group of what is not of a run; of a process of a distributed run, with its rank.

    Args:
        everything: All members.
        method: Replaces the group, or adds to it.
        trouble: Takes metrics that cannot be there together.
    """
    everything = list(everything)
    ranks = {member.rank for member in everything if member.phase in RUN_PHASES}
    labels = label_of(ranks.pop()) if len(ranks) == 1 else ()
    rest = united((member.metric for member in everything if member.phase not in RUN_PHASES), trouble)
    return Group("", method, labels, text(rest))


def label_of(rank: str) -> tuple[tuple[str, str], ...]:
    """Return the label that says which process of a distributed run a group is of."""
    return (("rank", rank),) if rank else ()


def _of_models(phase: Phase, rank: str, lasting: list[PrometheusMetric]) -> Iterator[Group]:
    models = {_model(sample) for metric in lasting for sample in metric.samples}
    for model in sorted(models):
        of_model = [_only(metric, model) for metric in lasting]
        yield Group(f"{phase.value} {rank} of {model}", "POST", (("model", model), *label_of(rank)), text(of_model))


def _only(metric: PrometheusMetric, model: str) -> PrometheusMetric:
    chosen = PrometheusMetric(metric.name, metric.documentation, metric.type)
    chosen.samples = [sample for sample in metric.samples if _model(sample) == model]
    return chosen


def _model(sample: Sample) -> str:
    return sample.labels.get("model", "")  # to OpenTelemetry, an empty one is none


def text(metrics: Iterable[PrometheusMetric]) -> bytes:
    """Return metrics in Prometheus's text format; those without a sample are left out."""
    return generate_latest(Collected(metric for metric in metrics if metric.samples))

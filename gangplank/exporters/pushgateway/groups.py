"""How a state is divided among a Pushgateway's groups.

A gateway keeps what it was last sent, for ever, and a PUT replaces a whole group. So that nothing stays on show that is
no longer true, and nothing is erased that still is, a state goes to several groups:

- ``{job, phase="train"}``, ``{job, phase="test"}`` and ``{job, phase="predict"}``, by PUT: all that a run says of
  itself. A newer run replaces it whole, a metric that it no longer has included; evaluating leaves training alone, also
  from another process.
- ``{job, model}``, by POST, which replaces metric by metric: what outlives a run, such as the time of the last success.
- ``{job}``, by POST: the export's own numbers.

A group is sent only when something in it has changed: a process that trained long ago and evaluates now must not put
its training over that of a process which trained since. A model's lasting facts are compared with those last delivered,
since a run of another model changes nothing in them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import push_to_gateway, pushadd_to_gateway

from gangplank.merging import Family
from gangplank.metrics import Phase
from gangplank.state import State

_Versions = Mapping[tuple[Phase, bool], int]
_RUN_PHASES = (Phase.TRAIN, Phase.TEST, Phase.PREDICT)

Key = tuple[Phase, bool, str]
"""Identifies a group: its phase, whether it is of what is durable, and then its model."""


@dataclass(frozen=True, slots=True)
class Group:
    """What goes to one group of a gateway.

    Attributes:
        key: Which group it is.
        version: Differs when what is in it differs.
        push: prometheus_client's function that replaces the group, or the one that adds to it.
        labels: The group's labels beside ``job`` and the user's grouping key.
        families: What is in it.
    """

    key: Key
    version: Hashable
    push: Callable[..., None]
    labels: dict[str, str]
    families: list[Family]


def groups(state: State, delivered: Mapping[Key, Hashable]) -> Iterator[Group]:
    """Yield the groups that have something in them which is not delivered yet, and the export's own.

    Args:
        state: What to divide.
        delivered: The version of each group that the gateway has.
    """
    versions = state.versions()  # before what they are versions of is read
    families = state.read()
    for phase in _RUN_PHASES:
        yield from _changed(_of_run(phase, versions, families), delivered)
        yield from _changed(_of_models(phase, families), delivered)
    # Read anew, so that the export's own numbers count the pushes that were made of the groups above.
    export = [family for family in state.read() if family.metric.phase not in _RUN_PHASES]
    if export:
        yield Group((Phase.EXPORT, False, ""), 0, pushadd_to_gateway, {}, export)


def _changed(candidates: Iterable[Group], delivered: Mapping[Key, Hashable]) -> Iterator[Group]:
    return (group for group in candidates if group.families and delivered.get(group.key) != group.version)


def _of_run(phase: Phase, versions: _Versions, families: list[Family]) -> Iterator[Group]:
    members = [family for family in families if family.metric.phase is phase and not family.metric.durable]
    version = versions.get((phase, False), 0)
    yield Group((phase, False, ""), version, push_to_gateway, {"phase": phase.value}, members)


def _of_models(phase: Phase, families: list[Family]) -> Iterator[Group]:
    lasting = [family for family in families if family.metric.phase is phase and family.metric.durable]
    models = {dict(point.labels)["model"] for family in lasting for point in family.points}
    for model in sorted(models):
        members = [_only(family, model) for family in lasting]
        yield Group((phase, True, model), tuple(members), pushadd_to_gateway, {"model": model}, members)


def _only(family: Family, model: str) -> Family:
    points = tuple(point for point in family.points if ("model", model) in point.labels)
    return Family(family.metric, points)

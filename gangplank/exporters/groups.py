"""How a state is divided among a Pushgateway's groups.

A gateway keeps what it was last sent, for ever, and a PUT replaces a whole group. So that nothing stays on show that is
no longer true, and nothing is erased that still is, a state goes to several groups:

- ``{job, phase="train"}`` and ``{job, phase="test"}``, by PUT: all that a run says of itself. A newer run replaces it
  whole, a metric that it no longer has included; evaluating leaves training alone, also from another process.
- ``{job}``, by POST, which replaces metric by metric: what outlives a run, such as the time of the last success, and
  the export's own numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import push_to_gateway, pushadd_to_gateway

from gangplank.catalogue import Phase
from gangplank.state import Family, State

_RUN_PHASES = (Phase.TRAIN, Phase.TEST)


@dataclass(frozen=True, slots=True)
class Group:
    """What goes to one group of a gateway.

    Attributes:
        push: prometheus_client's function that replaces the group, or the one that adds to it.
        labels: The group's labels beside ``job`` and the user's grouping key.
        families: What is in it.
    """

    push: Callable[..., None]
    labels: dict[str, str]
    families: list[Family]


def groups(state: State) -> Iterator[Group]:
    """Yield the groups that have something in them."""
    families = state.read()
    for phase in _RUN_PHASES:
        members = [one for one in families if one.metric.phase is phase and not one.metric.durable]
        if members:
            yield Group(push_to_gateway, {"phase": phase.value}, members)
    # Read anew, so that the export's own numbers count the pushes that were made of the groups above.
    lasting = [one for one in state.read() if one.metric.durable or one.metric.phase not in _RUN_PHASES]
    if lasting:
        yield Group(pushadd_to_gateway, {}, lasting)

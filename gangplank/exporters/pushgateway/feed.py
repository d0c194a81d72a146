"""What a pusher pushes: a state, or what an OpenTelemetry reader collects."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from gangplank.exporters.pushgateway.groups import Member, members
from gangplank.metrics import Phase
from gangplank.state import State


class Feed(Protocol):
    """Where metrics to push come from."""

    @property
    def method(self) -> str:
        """How to send what is not Gangplank's, and the export's own numbers: by ``POST`` or ``PUT``."""
        ...

    def version(self) -> Hashable:
        """Return something that differs when there may be news."""
        ...

    def read(self) -> list[Member] | None:
        """Return everything as it is now, but for the export's own numbers; None if that cannot be told."""
        ...


class StateFeed:
    """A state.

    Args:
        state: The state.
        method: How to send the export's own numbers.
    """

    def __init__(self, state: State, method: str = "POST") -> None:
        self._state = state
        self.method = method

    def version(self) -> Hashable:
        """Return a number that grows with what is written."""
        return self._state.version

    def read(self) -> list[Member]:
        """Return everything but the export's own numbers."""
        return members(family for family in self._state.read() if family.metric.phase is not Phase.EXPORT)

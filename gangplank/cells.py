"""Where the numbers of series are kept: in this process's memory, or wherever a storage puts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gangplank.metrics import Kind, Metric, Union

Labels = tuple[tuple[str, str], ...]
"""Attribute keys and values, in the order of the metric's attributes."""


class Row(Protocol):
    """Numbers in a row."""

    def __getitem__(self, index: int, /) -> float: ...


class Cells(Row, Protocol):
    """Numbers in a row, all 0 at first. One reader or writer of one of them never sees half a number."""

    def __setitem__(self, index: int, value: float, /) -> None: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Part:
    """A series, or a thread's share of one, among some cells.

    Attributes:
        metric: The series' metric.
        labels: Its labels.
        offset: The first cell that is its own. Parts may overlap, where two series state one number.
        bounds: The bucket bounds of a histogram or snapshot.
    """

    metric: Metric
    labels: Labels
    offset: int = 0
    bounds: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """How many cells it takes.

        - a counter: its total
        - a gauge: its value; where the newest counts, also the Unix time at which it was set, 0 for never
        - a histogram: the count of each bucket, then the sum
        - a snapshot: the cumulative count of each bucket, the sum, least and greatest, and the time as for a gauge
        """
        if self.metric.kind is Kind.COUNTER:
            return 1
        if self.metric.kind is Kind.GAUGE:
            return 2 if self.metric.union is Union.NEWEST else 1
        return len(self.bounds) + (2 if self.metric.kind is Kind.HISTOGRAM else 5)


class Storage(Protocol):
    """Keeps cells."""

    def allocate(self, parts: Sequence[Part]) -> Cells:
        """Return cells for these parts."""
        ...

    def release(self, cells: Cells) -> None:
        """Take back what ``allocate`` returned: its series are no more."""
        ...

    def inherited(self) -> Storage:
        """Return the storage for a forked child to write to."""
        ...


class Memory:
    """Keeps cells in lists."""

    def allocate(self, parts: Sequence[Part]) -> Cells:
        """Return cells for these parts."""
        cells: list[float] = [0] * max(part.offset + part.width for part in parts)
        return cells

    def release(self, cells: Cells) -> None:
        """Do nothing: a list goes when nobody has it."""

    def inherited(self) -> Memory:
        """Return the same: memory is copied in a fork."""
        return self

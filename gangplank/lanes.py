"""Cells that each thread has for itself, to write to without a lock: what the hot path of inference is built on."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from gangplank.cells import Cells
from gangplank.metrics import Union
from gangplank.series import Histogram, Owner, Series


class _Local(threading.local):
    cells: Cells
    lease: _Lease


class Lanes:
    """For each thread, a share of the same few series.

    A thread that ends hands its share on, numbers and all, to the next one that begins: there are never more than there
    were threads at once.

    Args:
        owner: The state.
        layout: The series, and where in the cells the share of each begins.

    Attributes:
        phase: That of the series.
        local: Has the calling thread's share as ``local.cells``. If it has none yet, :meth:`take` makes it.
    """

    def __init__(self, owner: Owner, layout: Sequence[tuple[Series, int]]) -> None:
        self._owner = owner
        self._layout = tuple(layout)
        self.phase = layout[0][0].metric.phase
        self._begin()

    def take(self) -> Cells:
        """Return the calling thread's share, which it has from now on."""
        with self._owner.lock:
            cells = self._free.pop() if self._free else self._make()
        self.local.cells = cells
        self.local.lease = _Lease(cells, self._free)
        return cells

    def observations(self) -> int:
        """Return how many observations there are in all shares: a number that grows as they are written."""
        return sum(
            int(cells[offset + index])
            for series, offset in self._layout
            if isinstance(series, Histogram)
            for cells in self._made
            for index in range(len(series.metric.bounds) + 1)
        )

    def move(self) -> None:
        """Have new cells of the owner, with the same numbers; the lock is held, and the series have none of ours."""
        old = self._made
        self._begin()
        for cells in old:
            new = self._make()
            for index in range(len(cells)):
                new[index] = cells[index]
            for series, offset in self._layout:
                if series.metric.union is Union.SUM:
                    new[offset] = 0  # what is under way now ends where it was before
            self._free.append(new)

    def leave(self) -> None:
        """Forget everything; the lock is held."""
        self._begin()

    def _begin(self) -> None:
        self.local = _Local()
        self._free: list[Cells] = []
        self._made: list[Cells] = []

    def _make(self) -> Cells:
        cells = self._owner.allocate(*(series.part(offset) for series, offset in self._layout))
        for series, offset in self._layout:
            series.shares = (*series.shares, (cells, offset))
        self._made.append(cells)
        return cells


class _Lease:
    """Gives a thread's share back when the thread ends, and what is local to it with it."""

    __slots__ = ("_cells", "_free")

    def __init__(self, cells: Cells, free: list[Cells]) -> None:
        self._cells = cells
        self._free = free

    def __del__(self) -> None:
        self._free.append(self._cells)

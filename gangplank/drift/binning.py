"""Columns of numbers, cut into cells that hold about as much of the reference each."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gangplank.drift.profile import State

Rows = npt.NDArray[np.floating[Any]]
Cells = npt.NDArray[np.intp]
Singles = npt.NDArray[np.float32]

_LARGEST = float(np.finfo(np.float32).max)


class Bins:
    """Tells in which cell of its column each number lies.

    Numbers are compared in single precision: models compute in it, and 0.1 must be found again whatever its dtype was.

    Args:
        reference: Rows of finite numbers.
        most: Cells that a column has at the most, and one more.
        is_ordered: Whether cells keep the order of what is in them. Otherwise those that the reference leaves empty
            are one, the last. An ordered column of few values has such cells between them.

    Attributes:
        width: How many cells there are for a column; some have fewer.
    """

    def __init__(self, reference: Rows, most: int, *, is_ordered: bool) -> None:
        few = most // 2 if is_ordered else most
        columns = _single(reference).T
        self._edges = [_edges(np.sort(column), most, few) for column in columns]
        self._places: list[Cells] = []
        if not is_ordered:
            self._places = [_places(column, edges) for column, edges in zip(columns, self._edges, strict=True)]
        self.width = 1 + max(int(places.max()) for places in self._places or map(_every, self._edges))

    @classmethod
    def of_state(cls, state: State) -> Self:
        """Return the bins that had this state."""
        made = cls.__new__(cls)
        made.width = int(state["cells"])
        made._edges = _cut(state["edges"], state["edges_of"])  # noqa: SLF001 - of this class
        made._places = _cut(state["places"], state["edges_of"] + 1) if len(state["places"]) else []  # noqa: SLF001 - of this class
        return made

    def state(self) -> dict[str, Any]:
        """Return where columns are cut, those of all columns one after another."""
        return {
            "cells": self.width,
            "edges": np.concatenate(self._edges),
            "edges_of": np.array([len(edges) for edges in self._edges]),
            "places": np.concatenate(self._places) if self._places else np.empty(0, np.intp),
        }

    def of(self, rows: Rows) -> Cells:
        """Return the cell of each number."""
        single = _single(rows)
        cells = np.empty(rows.shape, np.intp)
        for index, edges in enumerate(self._edges):
            cells[:, index] = edges.searchsorted(single[:, index], side="right")
        for index, places in enumerate(self._places):
            cells[:, index] = places[cells[:, index]]
        return cells

    def distances(self, reference: Rows) -> npt.NDArray[np.float64]:
        """Return how far it is from each cell to the next, as a share of the column's range: (columns, cells).

        A cell lies where the mean of the reference in it does.
        """
        cells = self.of(reference)
        result = np.zeros((len(self._edges), self.width))
        for index, edges in enumerate(self._edges):
            values = _single(reference[:, index]).astype(np.float64)
            result[index, : len(edges)] = np.diff(_positions(values, cells[:, index], len(edges) + 1))
        return result


def _cut(values: npt.NDArray[Any], lengths: npt.NDArray[np.int_]) -> list[npt.NDArray[Any]]:
    return np.split(values, lengths.cumsum()[:-1])


def _single(rows: Rows) -> Singles:
    return np.clip(rows, -_LARGEST, _LARGEST).astype(np.float32)


def _edges(ordered: Singles, most: int, few: int) -> Singles:
    """Return the least number of each cell but the first; a number that is often there has a cell of its own."""
    values = np.unique(ordered)
    often = values
    if len(values) > few:
        values, times = np.unique(ordered[np.arange(1, most) * len(ordered) // most], return_counts=True)
        often = values[times > 1]
    with np.errstate(over="ignore"):
        return np.union1d(values, np.nextafter(often, np.float32(np.inf)))


def _every(edges: Singles) -> Cells:
    return np.arange(len(edges) + 1)


def _places(column: Singles, edges: Singles) -> Cells:
    """Return for each cell its number when those that the reference leaves empty come last, as one."""
    is_used = np.bincount(edges.searchsorted(column, side="right"), minlength=len(edges) + 1) > 0
    return np.where(is_used, is_used.cumsum() - 1, np.count_nonzero(is_used))


def _positions(values: npt.NDArray[np.float64], cells: Cells, width: int) -> npt.NDArray[np.float64]:
    counts = np.bincount(cells, minlength=width)
    used = np.flatnonzero(counts)
    means: npt.NDArray[np.float64] = np.bincount(cells, weights=values, minlength=width)[used] / counts[used]
    means = (means - means[0]) / ((means[-1] - means[0]) or 1.0)
    # Empty cells lie in the middle between their neighbours, and as far outside of them as these are from one another.
    step = 1 / max(1, len(means) - 1)
    known, places = [used[0] - 1, *used, used[-1] + 1], [-step, *means, means[-1] + step]
    positions: npt.NDArray[np.float64] = np.interp(np.arange(width), known, places)
    return positions

"""Sums of similarities within and between the windows of many short streams."""

from __future__ import annotations

import math

import numpy as np

from gangplank.drift.calibration import Schedule
from gangplank.drift.mmd_kernel import BLOCK, Floats, Points, left, right, similarities, undivided

_PARTS = 4
"""Tiles along a stream at the least: of what is symmetric, three eighths need not be computed then. With more and
smaller ones that would be almost half, and take longer."""


class Cells:
    """The parts of a stream in which no window begins or ends, so that they can be summed before all else.

    Args:
        schedule: When the window is evaluated.
        windows: Windows' worths of observations in a stream, which is begun with a window.

    Attributes:
        length: Observations in a stream.
        evaluations: Of the window that a stream begins with, and every stride after.
    """

    def __init__(self, schedule: Schedule, windows: int) -> None:
        steps = (windows - 1) * schedule.window // schedule.stride
        self.length = schedule.window + steps * schedule.stride
        self.evaluations = steps + 1
        self._size = math.gcd(schedule.window, schedule.stride)
        self._count = self.length // self._size
        self._width = schedule.window // self._size
        self._begins = np.arange(self.evaluations) * (schedule.stride // self._size)
        self._band = np.tri(self._count, k=-1) - np.tri(self._count, k=-self._width)
        """1 where a cell comes after another and within a window of it."""

    def totals(self, values: Floats) -> Floats:
        """Return the sum in each cell of something that each observation of some streams has."""
        totals: Floats = values.reshape(len(values), self._count, self._size).sum(axis=2)
        return totals

    def similarities(self, points: Points) -> Floats:
        """Return the sums of similarities between the cells of each stream."""
        number, count, size = len(points), self._count, self._size
        fitting = min(math.isqrt(undivided(points.shape[2])), BLOCK // self.length)
        per_tile = max(1, min(fitting // size, -(-count // _PARTS)))
        tiles = -(-count // per_tile)
        padded = np.pad(points, ((0, 0), (0, tiles * per_tile * size - self.length), (0, 0)))
        tiled = padded.reshape(number, tiles, per_tile * size, -1)
        some, others = left(tiled), right(tiled)
        cells = np.empty((number, tiles * per_tile, tiles * per_tile))
        for tile in range(tiles):
            first, last = tile * per_tile, (tile + 1) * per_tile
            block = similarities(some[:, tile, None], others[:, tile:])
            if size > 1:  # einsum: sum() takes twice as long for so few numbers
                rows = np.einsum("ntcsw->ntcw", block.reshape(number, tiles - tile, per_tile, size, -1))
                block = np.einsum("ntcds->ntcd", rows.reshape(number, tiles - tile, per_tile, per_tile, size))
            cells[:, first:last, first:] = np.swapaxes(block, 1, 2).reshape(number, per_tile, -1)
            cells[:, last:, first:last] = np.swapaxes(cells[:, first:last, last:], 1, 2)
        return cells[:, :count, :count]

    def within_windows(self, cells: Floats) -> Floats:
        """Return the sum of similarities in each window: what the one before had, less what left, and what came."""
        own = np.einsum("sii->si", cells)
        earlier = 2 * np.einsum("sij,ij->si", cells, self._band) + own
        later = 2 * np.einsum("sij,ij->sj", cells, self._band) + own  # cells being symmetric
        first = cells[:, : self._width, : self._width].sum(axis=(1, 2))
        changes = earlier[:, self._width :] - later[:, : -self._width]
        return np.cumsum(np.concatenate([first[:, None], changes], axis=1), axis=1)[:, self._begins]

    def of_windows(self, totals: Floats) -> Floats:
        """Return the sum of each window's cells."""
        so_far = np.cumsum(np.pad(totals, ((0, 0), (1, 0))), axis=1)
        return so_far[:, self._begins + self._width] - so_far[:, self._begins]

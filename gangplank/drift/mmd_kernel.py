"""A Gaussian kernel between many points, in blocks that stay in the processor's cache."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gangplank.drift.profile import State
from gangplank.errors import ConfigurationError

Floats = npt.NDArray[np.float64]
Points = npt.NDArray[np.float32]

BLOCK = 40_000
"""Numbers in a block: 160 KB of float32."""
_HEIGHT = 128
_UNDIVIDED = 2**18
_SAMPLE = 1000
_FAR = 1e12
"""Bandwidths from the middle in any column. What is further is taken to be there, so that no square overflows."""


class Kernel:
    """How similar rows are: ``exp(-distance**2 / (2 * bandwidth**2))``, 1 for equal ones.

    Rows are made points first: about a middle, in bandwidths, and projected if that is asked for.

    Args:
        reference: Rows to take middle and bandwidth from.
        bandwidth: The distance at which rows are similar still; None for the reference's median distance.
        project: Numbers in a point; None for as many as in a row.
        rng: What to sample and project with.

    Attributes:
        bandwidth: The distance in use.

    Raises:
        ConfigurationError: no bandwidth is given, and the reference's rows are all alike or too far apart.
    """

    def __init__(
        self, reference: Floats, bandwidth: float | None, project: int | None, rng: np.random.Generator
    ) -> None:
        self._middle = np.median(reference, axis=0)
        width = reference.shape[1]
        self._projection = None if project is None else rng.standard_normal((width, project)) / math.sqrt(project)
        self.bandwidth = _median_distance(self._projected(_sample(reference, rng) - self._middle), bandwidth)

    @classmethod
    def of(cls, state: State) -> Self:
        """Return the kernel that had this state."""
        made = cls.__new__(cls)
        made.bandwidth = float(state["bandwidth"])
        made._middle = state["middle"]  # noqa: SLF001 - of this class
        made._projection = state.get("projection")  # noqa: SLF001 - of this class
        return made

    def state(self) -> dict[str, Any]:
        """Return what is needed to make points of rows elsewhere."""
        known: dict[str, Any] = {"bandwidth": self.bandwidth, "middle": self._middle}
        return known if self._projection is None else {**known, "projection": self._projection}

    def points(self, rows: Floats) -> Points:
        """Return the points that rows are."""
        with np.errstate(over="ignore"):
            scaled = (rows - self._middle) / self.bandwidth
        return self._projected(np.clip(scaled, -_FAR, _FAR)).astype(np.float32)

    def _projected(self, rows: Floats) -> Floats:
        return rows if self._projection is None else rows @ self._projection


def _sample(rows: Floats, rng: np.random.Generator) -> Floats:
    return rows if len(rows) <= _SAMPLE else rows[rng.choice(len(rows), _SAMPLE, replace=False)]


def _median_distance(rows: Floats, given: float | None) -> float:
    if given is not None:
        return given
    with np.errstate(over="ignore", invalid="ignore"):
        squares = (rows**2).sum(axis=1)
        squared = squares[:, None] + squares - 2 * rows @ rows.T
    distances = np.sqrt(np.maximum(squared[np.triu_indices(len(rows), 1)], 0))
    found = float(np.median(distances)) or float(distances.mean())  # more than half are 0 if predictions are one-hot
    if not 0 < found < math.inf:
        raise ConfigurationError(
            f"bandwidth must be given, a number above 0: the reference's distances have the median {found}"
        )
    return found


def similarities(some: npt.NDArray[np.floating], others: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the kernel of each of some points with each of others.

    Args:
        some: Points made ``left``, of any number of leading dimensions.
        others: Points made ``right``.
    """
    exponents = some @ others
    np.minimum(exponents, 0, out=exponents)  # which rounding can exceed
    return np.exp(exponents, out=exponents)


def left(points: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return points as ``similarities`` takes its first ones: two columns more make one product all of the exponent."""
    squares = (points**2).sum(axis=-1, keepdims=True)
    return np.concatenate([points, squares * -0.5, np.ones_like(squares)], axis=-1)


def right(points: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return points as ``similarities`` takes its second ones, a column each."""
    squares = (points**2).sum(axis=-1, keepdims=True)
    columns = np.concatenate([points, np.ones_like(squares), squares * -0.5], axis=-1)
    return np.ascontiguousarray(np.swapaxes(columns, -1, -2))


def sums(some: npt.NDArray[np.floating], others: npt.NDArray[np.floating]) -> Floats:
    """Return the sum of each of some points' similarities with all others; the arguments are as above."""
    total = np.zeros(some.shape[:-1])
    height = min(some.shape[-2], _HEIGHT)
    width = max(1, min(BLOCK, undivided(some.shape[-1] - 2)) // height)
    for left_edge in range(0, others.shape[1], width):
        part = others[:, left_edge : left_edge + width]
        for top in range(0, some.shape[-2], height):
            total[..., top : top + height] += similarities(some[..., top : top + height, :], part).sum(axis=-1)
    return total


def undivided(width: int) -> int:
    """Return how many similarities of points of a width OpenBLAS computes at a time without several threads.

    With threads it takes longer for so few, the more if it is called in several threads already.
    """
    return _UNDIVIDED // (width + 2)

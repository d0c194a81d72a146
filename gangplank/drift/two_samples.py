"""How much two samples differ, told by counts: a window's, and what share of the reference lies in the same cells.

Tables have the shape (..., columns, cells). Cells that a column does not have are empty in both samples.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

LEAST_EXPECTED = 1.0
"""No cell is expected to hold less: where it does, the chi-square distribution does not hold (Cochran, Some methods
for strengthening the common chi-square tests, Biometrics 1954), and one odd observation would be a drift."""
SPREAD = 0.5
"""Observations of the window by which the PSI raises each cell of both samples: an empty one makes it infinite."""

TwoSamples = Callable[[Floats, int, Floats, float], Floats]
"""Takes a window's counts and how many observations it has, the reference's shares and how many it has. Returns a
number per column."""


def chi_square(counts: Floats, observations: int, shares: Floats, references: float) -> Floats:
    """Return Pearson's statistic for two samples of one distribution (homogeneity)."""
    both = counts + references * shares
    expected = both * (observations / (observations + references))
    squares = (counts - expected) ** 2
    both -= expected
    window, reference = np.maximum(expected, LEAST_EXPECTED), np.maximum(both, LEAST_EXPECTED)
    return np.asarray((squares / window + squares / reference).sum(axis=-1))


def stability_index(counts: Floats, observations: int, shares: Floats, _: float) -> Floats:
    """Return the population stability index (PSI), the symmetric Kullback-Leibler divergence."""
    raised = SPREAD / observations
    window, reference = counts / observations + raised, shares + raised
    return np.asarray(((window - reference) * np.log(window / reference)).sum(axis=-1))


def kolmogorov_smirnov(counts: Floats, observations: int, shares: Floats, _: float) -> Floats:
    """Return the largest difference of the two distribution functions; the tables are cumulative."""
    difference = counts / observations
    difference -= shares
    return np.asarray(np.abs(difference, out=difference).max(axis=-1))


def wasserstein(distances: Floats) -> TwoSamples:
    """Return the function for the Wasserstein distance: how far mass must be moved, on average; of cumulative tables.

    Args:
        distances: From each cell to the next, of the shape (columns, cells).
    """
    return functools.partial(_moved, distances)


def _moved(distances: Floats, counts: Floats, observations: int, shares: Floats, _: float) -> Floats:
    difference = counts / observations
    difference -= shares
    return np.asarray(np.einsum("...ck,ck->...c", np.abs(difference, out=difference), distances))


def chi_square_tail(statistic: float, degrees: int) -> float:
    """Return how probable it is that a chi-square variable is above ``statistic``.

    It is a finite sum for whole degrees of freedom (Abramowitz and Stegun, 26.4.4 and 26.4.5).

    Args:
        statistic: Not negative.
        degrees: Of freedom; of none, the variable is 0.
    """
    half = statistic / 2
    if half <= 0 or degrees == 0:
        return float(half <= 0)
    odd = degrees % 2
    powers = (step + odd / 2 for step in range(degrees // 2))
    terms = (math.exp(power * math.log(half) - half - math.lgamma(power + 1)) for power in powers)
    return min(1.0, math.fsum(terms) + (math.erfc(math.sqrt(half)) if odd else 0.0))

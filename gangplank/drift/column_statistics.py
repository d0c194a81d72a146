"""Statistics of columns, brought to one scale: how many standard deviations they are above what is usual."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gangplank.drift.profile import State
from gangplank.drift.two_samples import (
    Floats,
    TwoSamples,
    chi_square,
    kolmogorov_smirnov,
    stability_index,
    wasserstein,
)
from gangplank.errors import ConfigurationError

Name = Literal["ks", "psi", "wasserstein", "chi2"]

BINS: dict[str, int] = {"ks": 64, "psi": 10, "wasserstein": 64, "chi2": 64}
"""The statistics, and into how many cells each has a column cut by default. With many, the PSI is above the 0.25 that
is often called a drift although nothing drifts."""
_FUNCTIONS: dict[str, TwoSamples] = {"ks": kolmogorov_smirnov, "psi": stability_index, "chi2": chi_square}
ORDERED = frozenset({"ks", "wasserstein"})
_OF_ONE_DEGREE = math.sqrt(2 / math.pi), math.sqrt(1 - 2 / math.pi)
"""Mean and standard deviation of the root of a chi-square variable with one degree of freedom."""


@dataclass(frozen=True, slots=True)
class ColumnStatistic:
    """One statistic for all columns.

    Attributes:
        name: Which one.
        references: How many rows the reference has.
        mean: Of what :meth:`scaled` returns of each column, without drift.
        deviation: Its standard deviation.
        distances: Between cells, for the Wasserstein distance.
    """

    name: Name
    references: int
    mean: npt.NDArray[np.float32]
    deviation: npt.NDArray[np.float32]
    distances: npt.NDArray[np.float32] | None = None

    @classmethod
    def raw(cls, name: Name, references: int, distances: npt.NDArray[np.float64] | None) -> ColumnStatistic:
        """Return a statistic whose scale is not known yet.

        Args:
            name: Which one.
            references: How many rows the reference has.
            distances: Between cells, for the Wasserstein distance.
        """
        single = None if distances is None else distances.astype(np.float32)
        return cls(name, references, np.zeros(1, np.float32), np.ones(1, np.float32), single)

    @classmethod
    def of(cls, state: State) -> ColumnStatistic:
        """Return the statistic that had this state."""
        name: Any = state["statistic_name"]
        if name not in BINS:
            raise ConfigurationError(f"statistic must be one of {', '.join(map(repr, BINS))}, got {name!r}")
        return cls(name, int(state["references"]), state["mean"], state["deviation"], state.get("distances"))

    def state(self) -> dict[str, Any]:
        """Return what is needed to compute it elsewhere."""
        known = {
            "statistic_name": self.name,
            "references": self.references,
            "mean": self.mean,
            "deviation": self.deviation,
        }
        return known if self.distances is None else {**known, "distances": self.distances}

    def fitted(self, scaled: Floats, observations: int) -> ColumnStatistic:
        """Return this statistic with the scale of simulated windows.

        A column that hardly ever varies has hardly a scale: there, it is made so that one observation counts for no
        more than about one standard deviation.

        Args:
            scaled: What :meth:`scaled` returned of each column of each window.
            observations: How many each window has.
        """
        mean, deviation = _OF_ONE_DEGREE
        if self.name in ORDERED:
            one = 1 / math.sqrt(observations)
            mean, deviation = one * mean / deviation, one
        return replace(
            self,
            mean=np.maximum(scaled.mean(axis=0), mean).astype(np.float32),
            deviation=np.maximum(scaled.std(axis=0), deviation).astype(np.float32),
        )

    def scaled(self, counts: Floats, observations: int, shares: Floats) -> Floats:
        """Return the statistic of each column so that its spread does not depend on the number of observations."""
        function = _FUNCTIONS[self.name] if self.distances is None else wasserstein(self.distances)
        statistic = function(counts, observations, shares, self.references)
        noise = 1 / observations + 1 / self.references
        if self.name in ORDERED:
            return statistic / math.sqrt(noise)
        return np.sqrt(np.maximum(statistic if self.name == "chi2" else statistic / noise, 0))

    def standardized(self, counts: Floats, observations: int, shares: Floats) -> Floats:
        """Return how many standard deviations each column's statistic is above the mean."""
        return (self.scaled(counts, observations, shares) - self.mean) / self.deviation

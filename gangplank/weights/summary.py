"""What is said of weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gangplank.distribution import Distribution


@dataclass(frozen=True, slots=True)
class Update:
    """How far weights moved.

    Attributes:
        squared: Sum of the squared differences from the earlier weights.
        squared_before: Sum of the squares of these.
    """

    squared: float = 0.0
    squared_before: float = 0.0

    @property
    def ratio(self) -> float:
        """The L2 norm of the change by that of the earlier weights, or NaN if these were all 0."""
        return math.sqrt(self.squared / self.squared_before) if self.squared_before else math.nan

    def __add__(self, other: Update) -> Update:
        """Return the update of the weights of both."""
        return Update(self.squared + other.squared, self.squared_before + other.squared_before)


@dataclass(frozen=True, slots=True)
class WeightSummary:
    """What :func:`summarize_weights` found. Summaries of parts of a model, with the same bounds, add up.

    NaN is no number: it counts in :attr:`nonfinite` and nowhere else. Infinite weights count as numbers, and leave
    those statistics without a value (NaN) that have none then.

    Attributes:
        distribution: Buckets, count, sum, least and greatest. An infinite weight counts in the outermost bucket on its
            side and in the sum.
        nonfinite: The number of weights that are NaN or infinite.
        squared_deviations: Sum of the squared deviations from the mean.
        update: What they were compared with, if with anything.
    """

    distribution: Distribution
    nonfinite: int
    squared_deviations: float
    update: Update | None = None

    @property
    def mean(self) -> float:
        """The mean, or NaN of no weights."""
        return self.distribution.sum / self.distribution.count if self.distribution.count else math.nan

    @property
    def stddev(self) -> float:
        """The standard deviation of all weights (not the estimate from a sample), or NaN of no weights."""
        return math.sqrt(self.squared_deviations / self.distribution.count) if self.distribution.count else math.nan

    @property
    def norm(self) -> float:
        """The L2 norm, or NaN if none of the weights is a number."""
        if not self.distribution.count:
            return math.nan if self.nonfinite else 0.0
        return math.hypot(math.sqrt(self.squared_deviations), self.mean * math.sqrt(self.distribution.count))

    def __add__(self, other: WeightSummary) -> WeightSummary:
        """Return the summary of the weights of both.

        Raises:
            ValueError: their bounds differ.
        """
        return WeightSummary(
            self.distribution + other.distribution,
            self.nonfinite + other.nonfinite,
            self.squared_deviations + other.squared_deviations + self._between(other),
            self.update + other.update if self.update is not None and other.update is not None else None,
        )

    def _between(self, other: WeightSummary) -> float:
        """Return the squared deviations of two means from the common one, after Chan, Golub and LeVeque (1979)."""
        left, right = self.distribution.count, other.distribution.count
        if not (left and right):
            return 0.0
        apart = self.mean - other.mean
        return apart * apart * (left * right / (left + right))  # ** would raise where this is infinite

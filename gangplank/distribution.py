"""How values are spread: what histograms and weights have in common."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Distribution:
    """How values are spread over buckets.

    Attributes:
        bounds: Upper-inclusive bucket bounds, increasing, without ``+Inf``.
        cumulative: For each bound the number of values at or below it, then the number of all values.
        sum: Sum of the values.
    """

    bounds: tuple[float, ...]
    cumulative: tuple[int, ...]
    sum: float

    @property
    def count(self) -> int:
        """The number of values."""
        return self.cumulative[-1]

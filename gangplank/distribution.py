"""How values are spread: what histograms and weights have in common."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One observation, and the span in which it was made.

    Attributes:
        trace_id: The trace, as 32 hexadecimal digits.
        span_id: The span, as 16.
        value: What was observed.
        timestamp: Unix time of the observation.
    """

    trace_id: str
    span_id: str
    value: float
    timestamp: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """How values are spread over buckets.

    Attributes:
        bounds: Upper-inclusive bucket bounds, increasing, without ``+Inf``.
        cumulative: For each bound the number of values at or below it, then the number of all values.
        sum: Sum of the values.
        least: The least value; None where that is not kept, or there is no value.
        greatest: The greatest, likewise.
        exemplars: Of some buckets, by their index, the last observation made in a span.
        timestamp: Unix time at which a snapshot was taken; two that were taken at different times can be equal.
    """

    bounds: tuple[float, ...]
    cumulative: tuple[int, ...]
    sum: float
    least: float | None = None
    greatest: float | None = None
    exemplars: tuple[tuple[int, Exemplar], ...] = ()
    timestamp: float = field(default=0.0, compare=False)

    @property
    def count(self) -> int:
        """The number of values."""
        return self.cumulative[-1]

    def __add__(self, other: Distribution) -> Distribution:
        """Return how the values of both are spread.

        Raises:
            ValueError: their bounds differ.
        """
        if self.bounds != other.bounds:
            raise ValueError(f"the bounds differ: {self.bounds} and {other.bounds}")
        return Distribution(
            self.bounds,
            tuple(left + right for left, right in zip(self.cumulative, other.cumulative, strict=True)),
            self.sum + other.sum,
            min((one for one in (self.least, other.least) if one is not None), default=None),
            max((one for one in (self.greatest, other.greatest) if one is not None), default=None),
            tuple(sorted({**dict(self.exemplars), **dict(other.exemplars)}.items())),
        )

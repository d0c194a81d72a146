"""What a drift function returns."""

from __future__ import annotations

from typing import NamedTuple


class Drift(NamedTuple):
    """What a drift function found in one batch of inputs and predictions. Fields left None are not exported.

    Attributes:
        drift_detected: Whether the batch drifted (True, or 1), or how many drifts were detected in it.
        p_value: The probability of a statistic at least as extreme without drift, 0 to 1.
        test_statistic: The detector's statistic.
    """

    drift_detected: int | None = None
    p_value: float | None = None
    test_statistic: float | None = None

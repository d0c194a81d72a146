"""What a drift function or a detector returns."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftResult:
    """What a detector found in one update. The first fields are those of ``Drift``.

    Attributes:
        drift_detected: How many drifts were detected in it.
        p_value: The probability of a statistic at least as extreme without drift, as of the last evaluation.
        test_statistic: The detector's statistic, as of the last evaluation; None if there has been none.
        threshold: What the statistic must exceed for a drift to be detected.
        observations: How many rows were looked at.
        skipped: How many were not, because they hold what is no finite number.
        window_fill: How much of the window is filled, from 0 to 1; None if the detector has none.
        columns: Which columns drifted, at most 10; empty if the detector does not tell them apart.
    """

    drift_detected: int = 0
    p_value: float | None = None
    test_statistic: float | None = None
    threshold: float | None = None
    observations: int = 0
    skipped: int = 0
    window_fill: float | None = None
    columns: tuple[str, ...] = ()

"""Quantiles of histograms, as Prometheus's ``histogram_quantile`` has them."""

from __future__ import annotations

from collections.abc import Sequence


def quantile(share: float, bounds: Sequence[float], cumulative: Sequence[float]) -> float | None:
    """Return the value below which a share of the observations is, or None without observations.

    Within a bucket they are taken to be spread evenly; beyond the last bound, that bound is all there is to say.

    Args:
        share: From 0 to 1.
        bounds: Upper bounds, the first of which is above 0.
        cumulative: For each bound how many observations are at or below it, then how many there are.
    """
    rank = share * cumulative[-1]
    if not cumulative[-1]:
        return None
    index = next(index for index, count in enumerate(cumulative) if count >= rank and count > 0)
    if index == len(bounds):
        return bounds[-1]
    below, start = (cumulative[index - 1], bounds[index - 1]) if index else (0.0, 0.0)
    return start + (bounds[index] - start) * (rank - below) / (cumulative[index] - below)

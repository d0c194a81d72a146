"""Bucket bounds for weights: two ready-made lists, and bounds that fit a model."""

from __future__ import annotations

import math

HISTOGRAM_WEIGHT_BUCKETS_1_0 = [step / 10 for step in range(-10, 11)]
"""Bounds from -1.0 to 1.0 by 0.1."""
HISTOGRAM_WEIGHT_BUCKETS_0_3 = [step / 20 for step in range(-6, 7)]
"""Bounds from -0.30 to 0.30 by 0.05."""

AUTO = "auto"
"""Stands for bounds that :func:`fitting` chooses."""

_MAGNITUDES = 10
_HEADROOM = 1
"""Powers of two beyond the one that the largest weight needs."""
_LARGEST_EXPONENT = 100


def fitting(largest: float) -> tuple[float, ...]:
    """Return 21 bounds for a model's weights: 0, and ten powers of two on either side.

    Powers of two are spaced evenly on a logarithmic scale, and every float dtype holds them exactly.

    Args:
        largest: The largest magnitude among the weights. The outermost bounds leave room for twice that; the innermost
            are 512 times smaller than they. Where it is 0 or no number, it counts as 1.
    """
    if not (math.isfinite(largest) and largest > 0):
        largest = 1.0
    top = math.ceil(math.log2(largest)) + _HEADROOM
    top = min(max(top, -_LARGEST_EXPONENT), _LARGEST_EXPONENT)
    positive = [2.0**exponent for exponent in range(top - _MAGNITUDES + 1, top + 1)]
    return (*(-bound for bound in reversed(positive)), 0.0, *positive)

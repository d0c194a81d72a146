"""Layers: few enough to show."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add

from gangplank.weights.summary import WeightSummary

OTHER = "_other"
"""Stands for the layers that are shown together."""


def whole(layers: Mapping[str, WeightSummary]) -> WeightSummary | None:
    """Return the summary of all layers together, or None of no layers."""
    return reduce(add, layers.values()) if layers else None


def largest(layers: Mapping[str, WeightSummary], most: int) -> tuple[dict[str, WeightSummary], int]:
    """Return at most ``most`` layers, those with the most weights first, and the others together.

    Args:
        layers: Layers by their names.
        most: How many to leave as they are.

    Returns:
        The layers, the last of them :data:`OTHER` if there are others, and how many others there are.
    """
    # Stable: of equal ones those come first that are nearer to the input.
    by_size = sorted(layers, key=lambda name: -layers[name].distribution.count - layers[name].nonfinite)
    shown = {name: layers[name] for name in by_size[:most]}
    others = [layers[name] for name in by_size[most:]]
    if most and others:
        shown.pop(OTHER, None)  # a layer that is really called that is one of the others
        others = [layers[name] for name in layers if name not in shown]
        shown[OTHER] = reduce(add, others)
    return shown, len(others) if most else 0

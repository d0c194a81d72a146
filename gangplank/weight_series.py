"""Summaries of weights as series."""

from __future__ import annotations

import math
from collections.abc import Mapping

from gangplank.catalogue import CATALOGUE, metric
from gangplank.metrics import Phase
from gangplank.state import State
from gangplank.weights.layers import largest
from gangplank.weights.summary import WeightSummary


class WeightSeries:
    """The series of one run that are about weights.

    Args:
        state: Where they are kept.
        phase: Training or evaluation.
        labels: What all of them are labelled with.
    """

    def __init__(self, state: State, phase: Phase, labels: Mapping[str, str]) -> None:
        self._state = state
        self._phase = phase
        self._labels = dict(labels)
        self._layers: set[str] = set()

    def show(self, whole: WeightSummary, layers: Mapping[str, WeightSummary], most_layers: int) -> None:
        """Show what was read last.

        Args:
            whole: The whole model.
            layers: Its layers.
            most_layers: How many of them to show on their own, the largest first; the others are shown together.
        """
        self._distribution("model_weights", whole)
        for part, value in {
            "norm": whole.norm,
            "mean": whole.mean,
            "stddev": whole.stddev,
            "min": whole.distribution.least,
            "max": whole.distribution.greatest,
        }.items():
            # What has no value any more must not stay on show as it was last.
            self._gauge(f"model_weights_{part}", math.nan if value is None else value)
        self._update("model_weights_update_ratio", whole)
        if most_layers:
            shown, combined = largest(layers, most_layers)
            self._gauge("layer_weights_combined", combined)
            for name, summary in shown.items():
                self._layer(name, summary)
            for gone in self._layers - shown.keys():
                self._drop(gone)
            self._layers = set(shown)

    def _layer(self, name: str, summary: WeightSummary) -> None:
        self._distribution("layer_weights", summary, layer=name)
        self._gauge("layer_weights_norm", summary.norm, layer=name)
        self._gauge("layer_weights_nonfinite", summary.nonfinite, layer=name)
        self._update("layer_weights_update_ratio", summary, layer=name)

    def _drop(self, layer: str) -> None:
        """Take away the series of a layer that is frozen by now, or one of the others."""
        rows = (one for one in CATALOGUE if one.phase is self._phase and "layer" in one.attributes)
        for row in rows:
            self._state.drop(row, **self._labels, layer=layer)

    def _distribution(self, suffix: str, summary: WeightSummary, **labels: str) -> None:
        if summary.distribution.bounds:
            row = metric(self._phase, suffix)
            self._state.snapshot(row, **self._labels, **labels).set(summary.distribution)

    def _update(self, suffix: str, summary: WeightSummary, **labels: str) -> None:
        if summary.update is not None and self._phase is Phase.TRAIN:
            self._gauge(suffix, summary.update.ratio, **labels)

    def _gauge(self, suffix: str, value: float, **labels: str) -> None:
        self._state.gauge(metric(self._phase, suffix), **self._labels, **labels).set(value)

"""Keras's trainable weights, layer by layer, as summaries: made where they lie."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy.typing as npt

from gangplank.weights.bounds import fitting
from gangplank.weights.counting import flat_copy, largest_magnitude, summarize_weights
from gangplank.weights.options import Weights
from gangplank.weights.summary import WeightSummary
from gangplank_keras import device_weights, tensors

_logger = logging.getLogger("gangplank.keras")


_Key = tuple[int, int]
"""A variable, and which of the tensors that make it up."""


class Part(NamedTuple):
    """Weights of a layer, to be summarized.

    Attributes:
        layer: The layer's name.
        weights: An array, or what a device was asked for.
        before: The array of the same weights earlier, if they are to be compared.
    """

    layer: str
    weights: npt.NDArray[Any] | device_weights.Pending
    before: npt.NDArray[Any] | None = None


class _Found(NamedTuple):
    """A tensor of the model: the same one, if the key is the same and the shape is."""

    key: _Key
    layer: str
    tensor: Any


class Measuring:
    """Measures the weights of one model again and again, with the same bounds.

    Args:
        model: The Keras model.
        options: What to measure.
        compares: Whether to keep a copy of the weights, to compare the next ones with.
    """

    def __init__(self, model: Any, options: Weights, *, compares: bool) -> None:  # noqa: ANN401 - Keras is untyped
        self._model = model
        given = options.histogram_buckets
        self._bounds = None if isinstance(given, str) else tuple(given or ())
        self._compares = compares
        self._before: dict[_Key, Any] = {}
        self._uses_devices = True

    def begin(self) -> list[Part]:
        """Take hold of the weights as they are, and have devices begin to summarize theirs."""
        found = list(self._tensors())
        try:
            return self._begun(found)
        except Exception:
            if not self._uses_devices:
                raise
            _logger.warning("weights are copied from their device to be read, from now on", exc_info=True)
            self._uses_devices = False
            self._before.clear()
            return self._begun(found)

    def finish(self, parts: list[Part], *, threads: int | None = None) -> dict[str, WeightSummary]:
        """Return the summary of each layer, from the input to the output.

        Args:
            parts: What :meth:`begin` returned; each is let go of as soon as it has been read.
            threads: How many to use at the most, as for :func:`gangplank.summarize_weights`.
        """
        bounds = self._settled_bounds([])
        layers: dict[str, WeightSummary] = {}
        parts.reverse()
        while parts:
            layer, weights, before = parts.pop()
            if isinstance(weights, device_weights.Pending):
                summary = device_weights.finish(weights)
            else:
                earlier = None if before is None else [before]
                summary = summarize_weights([weights], bounds, before=earlier, threads=threads)
            layers[layer] = layers[layer] + summary if layer in layers else summary
        return layers

    def stop_comparing(self) -> None:
        """Let go of the copy of the weights."""
        self._compares = False
        self._before.clear()

    def keep(self) -> None:
        """Keep a copy of the weights as they are, for those measured next to be compared with."""
        for key, _, tensor in self._tensors():
            self._before[key] = self._kept(tensor)

    def _begun(self, found: list[_Found]) -> list[Part]:
        bounds = self._settled_bounds([one.tensor for one in found])
        return [self._part(one, bounds) for one in found]

    def _part(self, found: _Found, bounds: tuple[float, ...]) -> Part:
        key, layer, tensor = found
        before = self._before.get(key)
        if before is not None and math.prod(before.shape) != math.prod(tensor.shape):
            before = None
        if self._on_device(tensor):
            part = Part(layer, device_weights.begin(tensor, bounds, before))
            if self._compares:
                self._before[key] = self._kept(tensor)
            return part
        array = tensors.array_of(tensor)
        if self._compares and before is None:
            self._before[key] = flat_copy(array)
        return Part(layer, array, before)

    def _kept(self, tensor: Any) -> Any:  # noqa: ANN401
        return device_weights.copy(tensor) if self._on_device(tensor) else flat_copy(tensors.array_of(tensor))

    def _settled_bounds(self, found: list[Any]) -> tuple[float, ...]:
        """Return the bounds; if they are to fit the weights, those that are found first decide."""
        if self._bounds is None:
            self._bounds = fitting(max(map(self._largest, found), default=0.0))
        return self._bounds

    def _largest(self, tensor: Any) -> float:  # noqa: ANN401
        if not self._on_device(tensor):
            return largest_magnitude([tensors.array_of(tensor)])
        spread = device_weights.finish(device_weights.begin(tensor, ())).distribution
        return max(-(spread.least or 0.0), spread.greatest or 0.0)

    def _on_device(self, tensor: Any) -> bool:  # noqa: ANN401
        return self._uses_devices and not tensors.is_on_host(tensor) and device_weights.suits(tensor)

    def _tensors(self) -> Iterator[_Found]:
        for variable in self._model.trainable_variables:
            layer = _layer(variable.path, str(self._model.name))
            for number, tensor in enumerate(tensors.of_variable(variable)):
                yield _Found((id(variable), number), layer, tensor)


def _layer(path: str, model: str) -> str:
    """Return what the layer of a variable is called: where it is in the model."""
    *layers, _ = path.split("/")
    if layers and layers[0] == model:
        del layers[0]
    return "/".join(layers) or model

"""Keras's trainable weights, layer by layer, as summaries: made where they lie."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy.typing as npt

from gangplank.weights import counting
from gangplank.weights.bounds import fitting
from gangplank.weights.layers import OTHER
from gangplank.weights.options import Weights
from gangplank.weights.summary import WeightSummary
from gangplank_keras import device_weights, tensors

_logger = logging.getLogger("gangplank.keras")

Part = counting.Part | tuple[str, device_weights.Pending]
"""Weights of a layer: an array, or what a device was asked for."""


class _Found(NamedTuple):
    """A tensor of the model, by a variable and which of those that make it up."""

    key: tuple[int, int]
    layer: str
    tensor: Any


class _Kept(NamedTuple):
    """A copy of a tensor, and how that lay in memory: one that lies there otherwise cannot be compared with it."""

    copy: Any
    layout: tuple[Any, ...]


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
        self._before: dict[tuple[int, int], _Kept] = {}
        self._uses_devices = True

    def begin(self) -> list[Part]:
        """Take hold of the weights as they are, and have devices begin to summarize theirs."""
        found = list(self._tensors())
        try:
            return self._begun(found)
        except Exception as error:
            if not self._uses_devices:
                raise
            self._use_no_device(error)
            return self._begun(found)

    def finish(self, parts: list[Part], *, threads: int | None = None) -> dict[str, WeightSummary]:
        """Return the summary of each layer, from the input to the output.

        Args:
            parts: What :meth:`begin` returned. The list is emptied: each part is let go of as soon as it has been read.
            threads: How many to use at the most, as for :func:`gangplank.summarize_weights`.
        """
        here = [part for part in parts if isinstance(part, counting.Part)]
        there = [part for part in parts if not isinstance(part, counting.Part)]
        layers: dict[str, WeightSummary | None] = {part[0]: None for part in parts}
        parts.clear()
        read = list(counting.summarize_layers(here, self._bounds or (), threads=threads).items())
        try:
            read += [(layer, device_weights.finish(pending)) for layer, pending in there]
        except Exception as error:
            self._use_no_device(error)  # next time: these weights are gone by now
            raise
        for layer, summary in read:
            known = layers[layer]
            layers[layer] = summary if known is None else known + summary
        return {layer: summary for layer, summary in layers.items() if summary is not None}

    def nothing(self) -> WeightSummary:
        """Return the summary of a model without trainable weights."""
        return counting.summarize_weights([], self._bounds or ())

    def stop_comparing(self) -> None:
        """Let go of the copy of the weights."""
        self._compares = False
        self._before.clear()

    def keep(self) -> None:
        """Keep a copy of the weights as they are, for those measured next to be compared with."""
        for key, _, tensor in self._tensors():
            self._keep(key, tensor)

    def _begun(self, found: list[_Found]) -> list[Part]:
        if self._bounds is None:
            # Those that are found first decide, for the whole run.
            self._bounds = fitting(max((self._largest(one.tensor) for one in found), default=0.0))
        return [self._part(one, self._bounds) for one in found]

    def _part(self, found: _Found, bounds: tuple[float, ...]) -> Part:
        key, layer, tensor = found
        kept = self._before.get(key)
        before = kept.copy if kept is not None and kept.layout == self._layout(tensor) else None
        if self._on_device(tensor):
            pending = device_weights.begin(tensor, bounds, before)
            if self._compares:
                self._keep(key, tensor)
            return layer, pending
        if self._compares and before is None:
            self._keep(key, tensor)
        return counting.Part(layer, tensors.array_of(tensor), before)

    def _keep(self, key: tuple[int, int], tensor: Any) -> None:  # noqa: ANN401
        on_device = self._on_device(tensor)
        copy = device_weights.copy(tensor) if on_device else counting.flat_copy(tensors.array_of(tensor))
        self._before[key] = _Kept(copy, self._layout(tensor))

    def _layout(self, tensor: Any) -> tuple[Any, ...]:  # noqa: ANN401
        if self._on_device(tensor):
            return (str(tensor.dtype), tuple(tensor.shape))
        array: npt.NDArray[Any] = tensors.array_of(tensor)
        return (array.dtype, array.shape, array.strides)

    def _largest(self, tensor: Any) -> float:  # noqa: ANN401
        if not self._on_device(tensor):
            return counting.largest_magnitude([tensors.array_of(tensor)])
        spread = device_weights.finish(device_weights.begin(tensor, ())).distribution
        return max(-(spread.least or 0.0), spread.greatest or 0.0)

    def _on_device(self, tensor: Any) -> bool:  # noqa: ANN401
        return self._uses_devices and not tensors.is_on_host(tensor) and device_weights.suits(tensor)

    def _use_no_device(self, error: Exception) -> None:
        if self._uses_devices:
            _logger.warning("weights are copied from their device to be read, from now on: %s", error, exc_info=error)
        self._uses_devices = False
        self._before.clear()

    def _tensors(self) -> Iterator[_Found]:
        times: Counter[str] = Counter()
        for variable in self._model.trainable_variables:
            times[variable.path] += 1
            layer = _layer(variable.path, str(self._model.name), times[variable.path])
            for number, tensor in enumerate(tensors.of_variable(variable)):
                yield _Found((id(variable), number), layer, tensor)


def _layer(path: str, model: str, times: int) -> str:
    """Return what the layer of a variable is called.

    Args:
        path: Where Keras says that the variable is.
        model: The model's name, which is left out.
        times: How many variables so far are said to be there: of models in a model, Keras leaves out which.
    """
    *layers, _ = path.split("/")
    if layers and layers[0] == model:
        del layers[0]
    name = "/".join(layers) or model
    if name == OTHER:
        name += "_layer"
    return name if times == 1 else f"{name}_{times}"

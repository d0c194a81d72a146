"""What to report of a model's weights, and when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gangplank import checks
from gangplank.errors import ConfigurationError
from gangplank.weights.bounds import AUTO

MOST_LAYERS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What to report of the trainable weights, and when: at the end of a run, and in training within it if asked.

    Attributes:
        histogram_buckets: Upper-inclusive bounds for the distribution, such as
            ``gangplank.HISTOGRAM_WEIGHT_BUCKETS_1_0``. ``"auto"`` has them chosen to fit the weights when these are
            first read, once for a run. None reports the other statistics alone.
        every_n_epochs: Report after every so many epochs, too.
        max_share: Report after epochs, too, as often as takes at most this share of the training's time, such as 0.01.
            With ``every_n_epochs``, both must allow it.
        layers: Report the largest so many layers on their own, too, and the others together as ``_other``; 0 reports
            the whole model alone.
        updates: Report how far the weights moved since they were last read, in proportion to their size. It keeps a
            copy of the trainable weights.
        gradients: Report the norm of the last step's gradients, where they outlive the step: on PyTorch.

    Raises:
        TypeError: a value has the wrong type.
        ConfigurationError: a value is not allowed.
    """

    histogram_buckets: Iterable[float] | str | None = AUTO
    every_n_epochs: int | None = None
    max_share: float | None = None
    layers: int = 0
    updates: bool = False
    gradients: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "histogram_buckets", buckets("histogram_buckets", self.histogram_buckets))
        if self.every_n_epochs is not None:
            checks.count("every_n_epochs", self.every_n_epochs)
        if self.max_share is not None:
            checks.share("max_share", self.max_share)
        layers("layers", self.layers)
        checks.flag("updates", self.updates)
        checks.flag("gradients", self.gradients)


def buckets(argument: str, value: Iterable[float] | str | None) -> tuple[float, ...] | str | None:
    """Return bounds, ``"auto"``, or None.

    Raises:
        TypeError: it is none of these.
        ConfigurationError: the bounds are not allowed.
    """
    if value is None or (isinstance(value, str) and value == AUTO):
        return value
    if isinstance(value, str):
        raise TypeError(f"{argument} must be a sequence of numbers or {AUTO!r}, not {value!r}")
    return checks.bucket_bounds(argument, value)


def layers(argument: str, value: object) -> int:
    """Return ``value`` if it is a number of layers that can be shown.

    Raises:
        TypeError: it is no whole number.
        ConfigurationError: it is below 0, or more than a Prometheus server should be given.
    """
    number = checks.index(argument, value)
    if number > MOST_LAYERS:
        raise ConfigurationError(f"{argument} must be at most {MOST_LAYERS}, got {number}")
    return number

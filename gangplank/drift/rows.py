"""What a detector looks at: rows of finite numbers, of the inputs or of the predictions or made of both."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, Literal, Self, TypeVar

import numpy as np
import numpy.typing as npt

from gangplank.drift.profile import DriftProfile
from gangplank.errors import ConfigurationError

_Number = TypeVar("_Number", bound=np.generic)
Floats = npt.NDArray[np.float64]
Subject = Literal["predictions", "inputs"] | Callable[[Any, Any], Any]
"""What to look at; a function gets the inputs and the predictions of a batch and returns an array."""

_log = logging.getLogger("gangplank.drift")


class Choice:
    """Chooses of a batch what a detector looks at.

    Args:
        on: What to look at: ``"predictions"``, ``"inputs"``, or a function of both that returns an array.

    Attributes:
        argument: What errors call it.

    Raises:
        TypeError: ``on`` is nothing of the above.
    """

    def __init__(self, on: Subject) -> None:
        if not callable(on) and on not in ("predictions", "inputs"):
            raise TypeError(f"on must be 'predictions', 'inputs' or a function of both, not {on!r}")
        self._on: Subject = on
        self.argument = "what on returned" if callable(on) else on

    def of(self, x: Any, y: Any) -> Any:  # noqa: ANN401 - the model's
        """Return it."""
        return self._on(x, y) if callable(self._on) else y if self._on == "predictions" else x

    def of_reference(self, reference: Any) -> Any:  # noqa: ANN401 - what NumPy understands
        """Return the same of a reference that is a profile; any other is it already.

        Raises:
            ConfigurationError: inputs are looked at, and the profile has none.
        """
        if not isinstance(reference, DriftProfile):
            return reference
        if self._on == "inputs" and reference.inputs is None:
            raise ConfigurationError("reference is a profile without inputs, which on='inputs' needs: capture them too")
        return self.of(reference.inputs, reference.predictions)


class Rows:
    """Turns batches into rows of one width, which is the reference's.

    Args:
        reference: Rows of what ``on`` chooses, seen when nothing drifted, or a profile.
        on: What to look at: ``"predictions"``, ``"inputs"``, or a function of both that returns an array.

    Attributes:
        reference: The reference's finite rows, in its order.
        width: Numbers in a row.

    Raises:
        TypeError: the reference holds no numbers, or ``on`` is nothing of the above.
        ConfigurationError: the reference has no finite rows, or nothing in them.
    """

    def __init__(self, reference: Any, on: Subject = "predictions") -> None:  # noqa: ANN401 - what NumPy understands
        self._choice = Choice(on)
        reference = self._choice.of_reference(reference)
        rows = _table("reference", reference)
        self.width = rows.shape[1]
        self.reference, skipped = finite(rows)
        if not self.reference.size:
            raise ConfigurationError(f"reference must hold rows of finite numbers, got shape {np.shape(reference)}")
        if skipped:
            _log.warning("Of the reference, %d of %d rows are left out: they are not finite.", skipped, len(rows))

    @classmethod
    def of_width(cls, width: int, on: Subject) -> Self:
        """Return the same without the reference."""
        made = cls.__new__(cls)
        made._choice = Choice(on)  # noqa: SLF001 - of this class
        made.width = width
        return made

    def of(self, x: Any, y: Any) -> tuple[Floats, int]:  # noqa: ANN401 - the model's
        """Return the finite rows of a batch, and how many others there were.

        Raises:
            TypeError: what to look at holds no numbers.
            ConfigurationError: its rows are not as wide as the reference's.
        """
        value = self._choice.of(x, y)
        rows = _table(self._choice.argument, value)
        if not len(rows):
            return np.empty((0, self.width)), 0
        if rows.shape[1] != self.width:
            raise ConfigurationError(
                f"{self._choice.argument} must have the shape (samples, {self.width}), as the reference has, "
                f"got {np.shape(value)}"
            )
        return finite(rows)


def finite(rows: npt.NDArray[_Number]) -> tuple[npt.NDArray[_Number], int]:
    """Return the rows, of any shape, that are finite, and how many others there are."""
    is_finite = np.isfinite(rows).all(axis=tuple(range(1, rows.ndim)))
    kept = rows if is_finite.all() else rows[is_finite]
    return kept, len(rows) - len(kept)


def _table(argument: str, value: Any) -> Floats:  # noqa: ANN401
    array = _array(argument, value)
    if array.ndim == 0:
        raise ConfigurationError(f"{argument} must be a batch, of the shape (samples, ...), got the shape ()")
    width = math.prod(array.shape[1:])
    if len(array) and not width:
        raise ConfigurationError(f"{argument} must have something in its rows, got the shape {array.shape}")
    return array.reshape(len(array), width).astype(np.float64, copy=False)


def on_host(value: Any) -> Any:  # noqa: ANN401
    """Return what NumPy understands of a tensor of PyTorch's that has a gradient, or lies on another device."""
    return value.detach().cpu() if callable(getattr(value, "detach", None)) else value


def _array(argument: str, value: Any) -> npt.NDArray[Any]:  # noqa: ANN401
    if isinstance(value, dict) or (
        isinstance(value, (list, tuple)) and any(getattr(part, "shape", ()) for part in value)
    ):
        raise TypeError(
            f"{argument} must be one array of numbers, not a {type(value).__name__} of {len(value)}; "
            "give a function of inputs and predictions as on, which returns one"
        )
    try:
        array = np.asarray(on_host(value))
    except ValueError as error:
        raise ConfigurationError(f"{argument} must be one array of numbers with rows of one width: {error}") from error
    if not np.can_cast(array.dtype, np.float64, "same_kind"):  # also bfloat16 can be
        raise TypeError(f"{argument} must hold numbers, not {array.dtype} (its shape is {array.shape})")
    return array

"""From a batch to the classes that a model chose, and from these to the cells in which they are counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from gangplank.drift.profile import State
from gangplank.drift.rows import Choice, Subject, finite, on_host
from gangplank.errors import ConfigurationError

Ids = npt.NDArray[np.int64]
Rule = Literal["argmax"] | float | Callable[[Any], Any]
"""How classes are made of what is looked at; a function returns one whole number for each row of a batch."""


class ClassIds:
    """Tells which classes are in a batch.

    Args:
        rule: ``"argmax"`` takes the largest of each row's probabilities, and numbers that stand alone for classes. A
            number is the threshold above which one probability means class 1, and not 0. A function gets the batch.
        on: What to look at.

    Raises:
        TypeError: an argument is nothing of the above.
        ConfigurationError: the threshold is not finite.
    """

    def __init__(self, rule: Rule, on: Subject) -> None:
        self._width: int | None = None
        self._choice = Choice(on)
        is_threshold = isinstance(rule, (int, float)) and not isinstance(rule, bool)
        if not (callable(rule) or is_threshold or (isinstance(rule, str) and rule == "argmax")):
            raise TypeError(f"classes must be 'argmax', a threshold or a function, not {rule!r}")
        if is_threshold and not math.isfinite(float(rule)):  # type: ignore[arg-type]  # it is a number
            raise ConfigurationError(f"classes must be a finite threshold, got {rule!r}")
        self._rule: Rule = rule

    @classmethod
    def of_state(cls, state: State, on: Subject) -> Self:
        """Return the same as what had this state.

        Raises:
            ConfigurationError: that used a function, which no state holds.
        """
        if state["rule"] is None:
            raise ConfigurationError("classes was a function, which no state holds")
        made = cls(state["rule"], on)
        made._width = state["row"]
        return made

    def state(self) -> dict[str, Any]:
        """Return how classes are made; None for a function."""
        return {"rule": None if callable(self._rule) else self._rule, "row": self._width}

    def of_reference(self, reference: Any) -> tuple[Ids, int]:  # noqa: ANN401 - what NumPy understands, or a profile
        """Return the same of a reference; see :meth:`of`."""
        return self.within("reference", self._choice.of_reference(reference))

    def of(self, x: Any, y: Any) -> tuple[Ids, int]:  # noqa: ANN401 - the model's
        """Return the classes in a batch, and how many rows tell none: they are not finite.

        Raises:
            TypeError: they are no numbers.
            ConfigurationError: they are not of a shape that the rule can be used on, or no whole numbers.
        """
        return self.within(self._choice.argument, self._choice.of(x, y))

    def within(self, argument: str, value: Any) -> tuple[Ids, int]:  # noqa: ANN401
        """Return the classes in ``value``, which is called ``argument``; otherwise like :meth:`of`."""
        if callable(self._rule):
            argument, value = "what classes returned", self._rule(value)
        rows, skipped = finite(_rows(argument, value))
        return self._ids(argument, rows), skipped

    def _ids(self, argument: str, rows: npt.NDArray[Any]) -> Ids:
        if rows.shape[1] > 1:
            return self._largest(argument, rows)
        values = rows.reshape(-1)
        if isinstance(self._rule, (int, float)):
            return (values > self._rule).astype(np.int64)
        with np.errstate(invalid="ignore"):  # what is too large does not come back the same
            ids = values.astype(np.int64)
        if (ids != values).any():
            raise ConfigurationError(
                f"{argument} must be whole numbers, or probabilities of at least two classes, got "
                f"{values[ids != values][0]!s}; for one probability, give classes a threshold such as 0.5"
            )
        return ids

    def _largest(self, argument: str, rows: npt.NDArray[Any]) -> Ids:
        width = 1 if self._rule != "argmax" else self._width or rows.shape[1]
        if rows.shape[1] != width:
            raise ConfigurationError(f"{argument} must have {width} in a row, got {rows.shape[1]}")
        self._width = width
        largest: Ids = rows.argmax(axis=1)
        return largest


class ClassCells:
    """Where classes are counted: each common one by itself, and all others, unseen ones too, in the last cell.

    Args:
        ids: The reference's.
        window: Observations in a window.
        min_expected: How often a window must be expected to hold a class for it to be common.

    Attributes:
        width: How many cells there are.
        reference: How often the reference has each.

    Raises:
        ConfigurationError: no class is common.
    """

    def __init__(self, ids: Ids, window: int, min_expected: int) -> None:
        known, counts = np.unique(ids, return_counts=True)
        is_common = counts * window >= min_expected * len(ids)
        if not is_common.any():
            least = math.ceil(min_expected * len(ids) / counts.max(initial=1))
            raise ConfigurationError(
                f"window must be longer for so many classes: of each of {len(known)}, fewer than min_expected="
                f"{min_expected} are expected in {window}; at least {least} have one of them"
            )
        self._common = known[is_common]
        self.width = len(self._common) + 1
        self.reference = np.append(counts[is_common], counts[~is_common].sum())

    @classmethod
    def of_state(cls, state: State) -> Self:
        """Return the cells that had this state."""
        made = cls.__new__(cls)
        made._common, made.reference = state["common"], state["in_reference"]  # noqa: SLF001 - of this class
        made.width = len(made._common) + 1  # noqa: SLF001 - of this class
        return made

    def state(self) -> dict[str, Any]:
        """Return the common classes, and how often the reference has each, and others."""
        return {"common": self._common, "in_reference": self.reference}

    def of(self, ids: Ids) -> npt.NDArray[np.intp]:
        """Return the cell of each class."""
        cells = np.searchsorted(self._common, ids)
        is_common = self._common.take(cells, mode="clip") == ids
        return np.where(is_common, cells, self.width - 1)


def _rows(argument: str, value: Any) -> npt.NDArray[Any]:  # noqa: ANN401
    if isinstance(value, (list, tuple)) and any(getattr(part, "shape", ()) for part in value):
        raise TypeError(
            f"{argument} must be one array, not a {type(value).__name__} of {len(value)}; give a function as on"
        )
    try:
        array = np.asarray(on_host(value))
    except ValueError as error:
        raise ConfigurationError(f"{argument} must be one array, with rows of one width: {error}") from error
    if not np.can_cast(array.dtype, np.float64, "same_kind"):  # bfloat16 can be
        raise TypeError(f"{argument} must hold numbers, not {array.dtype} (its shape is {array.shape})")
    if array.ndim not in (1, 2) or (len(array) and not array.size):
        raise ConfigurationError(
            f"{argument} must have the shape (samples,) or (samples, classes), got {array.shape}; for another, give a "
            "function as classes"
        )
    return array.reshape(len(array), -1) if len(array) else array.reshape(0, 1)

"""A window of the last points, compared with a reference."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from gangplank.drift.mmd_kernel import Floats, Points, left, right, similarities, sums
from gangplank.drift.mmd_streams import Indices, Reference
from gangplank.drift.profile import State


class Window:
    """The last points, and what their unbiased squared MMD to the rest of a reference is made of.

    Nothing is added up for longer than a point is in the window, so that no rounding is either.

    Args:
        reference: What to draw from and to compare with.
        drawn: Which of its points are held out, and not compared with; the first ones are what the window begins with.
        size: Points in the window.
    """

    def __init__(self, reference: Reference, drawn: Indices, size: int) -> None:
        within = self._compare_with(reference, drawn, size)
        held_out = reference.points[drawn]
        self._points: Floats = np.empty((0, held_out.shape[1]))
        self._to_later = self._to_rest = np.empty(0)
        # Not by ``nearness``: where a drift stays, a window is begun after every few strides.
        to_rest = (reference.sums[drawn] - within) / self._rest.shape[1]
        self.push(held_out[:size], to_rest[:size])

    def _compare_with(self, reference: Reference, drawn: Indices, size: int) -> Floats:
        """Return the sum of each held out point's similarities with those held out."""
        held_out = reference.points[drawn]
        within = sums(left(held_out), right(held_out))
        self._drawn = drawn
        self._rest = right(np.delete(reference.points, drawn, axis=0))
        self._spread = float(reference.spread(drawn, within.sum()))
        self._size = size
        return within

    @classmethod
    def of(cls, reference: Reference, state: State, size: int) -> Self:
        """Return the window that had this state."""
        made = cls.__new__(cls)
        made._compare_with(reference, state["drawn"], size)  # noqa: SLF001 - of this class
        made._points, made._to_later, made._to_rest = state["window_points"], state["to_later"], state["to_rest"]  # noqa: SLF001 - of this class
        return made

    def state(self) -> dict[str, Any]:
        """Return what is in it, and what was held out for it."""
        return {
            "drawn": self._drawn,
            "window_points": self._points,
            "to_later": self._to_later,
            "to_rest": self._to_rest,
        }

    def nearness(self, points: Points) -> Floats:
        """Return each point's mean similarity with the rest of the reference.

        Args:
            points: Of any number of leading dimensions; what comes of those in the last two does not depend on others.
        """
        mean: Floats = sums(left(points), self._rest) / self._rest.shape[1]
        return mean

    def push(self, points: Points, nearness: Floats) -> None:
        """Let points enter, whose nearness is known, and as many leave as do not fit any more."""
        leaving = max(0, len(self._points) + len(points) - self._size)
        stayed, entered = self._points[leaving:], points.astype(np.float64)
        others = right(entered)
        to_later = self._to_later[leaving:] + similarities(left(stayed), others).sum(axis=1)
        among = np.triu(similarities(left(entered), others), 1).sum(axis=1)
        self._points = np.concatenate([stayed, entered])
        self._to_later = np.concatenate([to_later, among])
        self._to_rest = np.concatenate([self._to_rest[leaving:], nearness])

    @property
    def statistic(self) -> float:
        """The squared MMD between the window and the rest of the reference, whose expectation without drift is 0."""
        size = self._size
        pairs = float(self._to_later.sum())
        return self._spread + 2 * pairs / (size * (size - 1)) - 2 * float(self._to_rest.mean())

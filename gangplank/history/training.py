"""The training runs of one model: one point an epoch, and what is reported within epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping

from gangplank.catalogue import metric
from gangplank.distribution import Distribution
from gangplank.history.book import Book
from gangplank.history.lines import EPOCHS, EPOCHS_LINE, STEP_DURATION, STEP_LINE, WEIGHTS, Line, Subject, of_training
from gangplank.history.snapshots import Snapshots
from gangplank.metrics import Metric, Phase

_SECTIONS = ("training", "weights", "axis")
_ELAPSED, _RUNNING = metric(Phase.TRAIN, "elapsed_time"), metric(Phase.TRAIN, "running")
_LEAST = 0.9
"""Seconds between points of the step time within an epoch."""


class Training:
    """What is drawn of the last training run of a model.

    Args:
        subject: The model.
        book: Where its lines are.

    Attributes:
        weights: The distributions of the weights.
        generation: A number that grows when a run begins.
        run: The number of the run, where that is known.
        begun: Unix time at which the run began, or was first seen.
    """

    def __init__(self, subject: Subject, book: Book) -> None:
        self._subject = subject
        self._book = book
        self._steps = (0, 0.0)
        self.run = self.generation = 0
        self.begin(0.0)

    def begin(self, at: float) -> None:
        """Forget the run before: a new one begins."""
        self.forget()
        self.weights = Snapshots()
        self.begun = at
        self.generation += 1
        self._epochs: float | None = None
        self._within: set[Line] = set()
        self._stepped = at

    def forget(self) -> None:
        """Forget all lines."""
        self._book.forget(self._subject, _SECTIONS)

    def take(self, values: Mapping[Metric, float | Distribution], at: float) -> None:
        """Take the present values of a run.

        A value is one of this epoch if the epoch has ended since, or if it has changed. Those that do not change keep
        their one point an epoch so, however often they are looked at.
        """
        epochs = values.get(EPOCHS)
        if isinstance(epochs, (int, float)) and self._epochs is not None and epochs < self._epochs:
            if self.run:  # whose number is known: these were read before what was noted meanwhile
                return
            self.begin(at)
        elapsed = values.get(_ELAPSED)
        if values.get(_RUNNING) == 1 and isinstance(elapsed, (int, float)):
            self.begun = min(self.begun, at - elapsed)
        is_over = isinstance(epochs, (int, float)) and epochs != self._epochs
        for row, value in values.items():
            line = of_training(row)
            if line is not None and isinstance(value, (int, float)):
                self._take_value(line, value, at, is_over=is_over)
        steps, weights = values.get(STEP_DURATION), values.get(WEIGHTS)
        if isinstance(steps, Distribution):
            self._take_steps(steps, at, is_over=is_over)
        if isinstance(weights, Distribution):
            self.weights.add(weights, self._book.later(at), epochs if isinstance(epochs, (int, float)) else None)
        if is_over and isinstance(epochs, (int, float)):
            self._epochs = epochs
            self._within.clear()
            self._book.add(self._subject, EPOCHS_LINE, at, epochs)

    def _take_value(self, line: Line, value: float, at: float, *, is_over: bool) -> None:
        before = self._book.newest(self._subject, line)
        has_changed = before is None or not _is_same(before, value)
        if is_over and line in self._within and not has_changed:  # seen just before the epoch was said to be over
            self._book.restamp(self._subject, line, at)
        elif is_over or has_changed:
            self._book.add(self._subject, line, at, value)
            self._within.add(line)

    def _take_steps(self, steps: Distribution, at: float, *, is_over: bool) -> None:
        count, seconds = steps.count - self._steps[0], steps.sum - self._steps[1]
        if count < 0:  # of another process, say
            self._steps = steps.count, steps.sum
        elif count and (is_over or at - self._stepped >= _LEAST):
            self._steps, self._stepped = (steps.count, steps.sum), at
            self._book.add(self._subject, STEP_LINE, at, seconds / count)


def _is_same(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))

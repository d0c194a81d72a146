"""Training runs: epochs of steps, of a fit or of a loop of one's own."""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable, Mapping
from typing import SupportsFloat

from gangplank import checks
from gangplank.catalogue import metric
from gangplank.metrics import Outcome, Phase
from gangplank.run_spans import EPOCH, VALIDATION
from gangplank.runs import Reporting, Run


class TrainingRun(Run):
    """A training run: epochs of steps.

    ``step_to`` may be called from any thread, and late; the rest from one thread.

    Args:
        telemetry: Where to report.
        model: The model's name.
        only: As for :class:`Run`.
        rank: As for :class:`Run`.
    """

    def __init__(
        self, telemetry: Reporting, model: str, *, only: Container[str] | None = None, rank: int | None = None
    ) -> None:
        super().__init__(telemetry, Phase.TRAIN, model, only=only, rank=rank)
        state = telemetry.state
        self._running = self._gauge("running")
        self._running.set(1)
        self._steps = state.counter(metric(Phase.TRAIN, "steps"), **self._labels)
        self._step_duration = state.histogram(metric(Phase.TRAIN, "step_duration"), **self._labels)
        self._heartbeat = self._gauge("last_step_timestamp")
        self._stepping = threading.Lock()
        self._steps_of_epoch = self._epochs = 0
        self._in_epoch = False
        self._epoch_began = self._last_step = self._idle_since = telemetry.clock.monotonic()

    def plan(self, epochs: int) -> None:
        """Report how many epochs are to be completed, those before a resumed run included."""
        self._gauge("epochs_planned").set(epochs)

    def step(self, values: Mapping[str, SupportsFloat] | None = None, *, count: int = 1) -> None:
        """Report steps of a loop of one's own; the first after an epoch begins the next one.

        Args:
            values: The model's own metrics, if they are known by now. To look at one may wait for a device: give them
                every so many steps.
            count: How many steps.
        """
        with self.telemetry.trouble.contained("report a step"):
            checks.count("count", count)
            self._begin_own_epoch()
            self.step_to(self._steps_of_epoch + count)
            if values is not None:
                self.metrics(self._plain(values))

    def epoch(self, values: Mapping[str, SupportsFloat]) -> None:
        """Report the end of an epoch of a loop of one's own.

        Args:
            values: The model's own metrics.
        """
        with self.telemetry.trouble.contained("report an epoch"):
            self._begin_own_epoch()
            self.end_epoch(self._epochs + 1, self._plain(values))
        self.telemetry.notify()

    def begin_epoch(self, number: int | None = None) -> None:
        """Report that an epoch begins.

        Args:
            number: Which, the first being 1; by default the next one.
        """
        self._begin_epoch(self._epochs + 1 if number is None else number, self.telemetry.clock.monotonic())

    def begin_validation(self) -> None:
        """Report that what is done from now on is validation."""
        self._spans.begin(VALIDATION)

    def end_validation(self) -> None:
        """Report the end of the validation."""
        self._spans.end(VALIDATION)

    def step_to(self, steps: int) -> None:
        """Report that ``steps`` steps of this epoch have been taken.

        Steps reported together share the time since the last report evenly.
        """
        clock = self.telemetry.clock
        with self._stepping:
            taken = steps - self._steps_of_epoch
            if taken <= 0:  # a report that was overtaken by a later one
                return
            now = clock.monotonic()
            duration = (now - self._last_step) / taken
            self._steps_of_epoch, self._last_step = steps, now
        self._steps.add(taken)
        self._step_duration.observe(duration, taken)
        self._heartbeat.set(clock.time())

    def end_epoch(self, completed: int, values: Iterable[tuple[str, float]]) -> None:
        """Report the end of an epoch.

        Args:
            completed: Epochs completed by now, those before a resumed run included.
            values: The model's own metrics.
        """
        self.metrics(values)
        self._epochs = completed
        self._gauge("epochs_count").set(completed)
        self._in_epoch = False
        self._idle_since = self.telemetry.clock.monotonic()
        self._gauge("epoch_duration").set(self._idle_since - self._epoch_began)
        self._spans.end(EPOCH)

    def learning_rate(self, value: float) -> None:
        """Report the optimizer's learning rate."""
        self._gauge("learning_rate").set(value)

    def gradients_norm(self, value: float) -> None:
        """Report the L2 norm of the last step's gradients."""
        if self.is_first:
            self._gauge("model_gradients_norm").set(value)

    def weights_took(self, seconds: float) -> None:
        """Report how long it took to read the weights."""
        self.telemetry.state.counter(metric(Phase.TRAIN, "model_weights_time"), **self._labels).add(seconds)

    def _begin_own_epoch(self) -> None:
        """Begin the next epoch of a loop that does not say so: it began when the last one ended."""
        if not self._in_epoch:
            clock = self.telemetry.clock
            idle = clock.monotonic() - self._idle_since
            self._begin_epoch(self._epochs + 1, self._idle_since, unix=clock.time() - idle)

    def _begin_epoch(self, number: int, began: float, *, unix: float | None = None) -> None:
        with self._stepping:
            self._in_epoch = True
            self._steps_of_epoch = 0
            self._epoch_began = self._last_step = began
        self._spans.begin(EPOCH, {"gangplank.epoch": number}, began=None if unix is None else int(unix * 1e9))

    def _settle(self, outcome: Outcome) -> None:
        self._running.set(0)
        super()._settle(outcome)

"""Training and evaluation runs: what is reported of them, turned into series and spans.

An adapter owns a run from its begin to its end and calls the methods of this module from its framework's hooks; a
training loop of one's own does so from a ``with`` block. Nothing here knows a framework; values are plain numbers.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Container, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, SupportsFloat

from gangplank.catalogue import find, metric, model_metric
from gangplank.clock import Clock
from gangplank.metrics import Outcome, Phase
from gangplank.naming import Names
from gangplank.run_spans import EPOCH, VALIDATION, RunSpans
from gangplank.series import Gauge
from gangplank.state import State
from gangplank.tracing import Tracing
from gangplank.trouble import Trouble

if TYPE_CHECKING:
    from gangplank.weights import WeightSummary

_LOSS = "loss"
_CUT_SHORT = (KeyboardInterrupt, SystemExit, GeneratorExit)


class Reporting(Protocol):
    """Where a run reports: a :class:`~gangplank.Telemetry`."""

    state: State
    clock: Clock
    trouble: Trouble
    tracing: Tracing

    def notify(self) -> None:
        """Tell the exits that there is something new."""
        ...

    def names(self, phase: Phase, model: str) -> Names:
        """Return the names that the metrics of that model have in that phase."""
        ...

    def on_close(self, ending: Callable[[BaseException | None], None]) -> Callable[[], None]:
        """Have ``ending`` called when this is closed; the function returned takes that back."""
        ...


class Run:
    """One run of a phase over one model, from its construction to :meth:`end`.

    A new run of the same model and phase takes the series of the run before away, except for counters, which go on,
    and for what outlives a run. As a context manager it ends as its block does.

    Args:
        telemetry: Where to report.
        phase: Training or evaluation.
        model: The model's name.
        only: Which of the model's own metrics to export, by the framework's names; all, if None. The loss is watched
            for divergence even if it is not exported.
    """

    def __init__(self, telemetry: Reporting, phase: Phase, model: str, *, only: Container[str] | None = None) -> None:
        self.telemetry = telemetry
        self.phase = phase
        self.model = model
        self._only = only
        self._lock = threading.Lock()
        self._ended = False
        self._diverged = False
        telemetry.state.begin_run(phase, model)
        clock = telemetry.clock
        began = clock.monotonic()
        self._elapsed: Callable[[], float] = lambda: clock.monotonic() - began
        # A run that ends late, when the next one has begun, must not write over it: the series that the next one
        # takes away are the very objects that are kept here.
        self._elapsed_gauge = self._gauge("elapsed_time")
        self._elapsed_gauge.follow(self._elapsed)
        outcome = metric(phase, "outcome")
        self._outcomes = {each: telemetry.state.gauge(outcome, model=model, outcome=each.value) for each in Outcome}
        self._show_outcome(None)
        self._count_nonfinite(_LOSS, 0)
        self._spans = RunSpans(telemetry.tracing, telemetry.trouble, phase, model)
        self._take_back = telemetry.on_close(self._cut_off)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self.telemetry.trouble.contained("end a run"):
            self.end(error)
        self.telemetry.notify()

    @property
    def is_on(self) -> bool:
        """Whether the run has not ended yet."""
        return not self._ended

    def info(self, **labels: str) -> None:
        """Say what ran; the labels are those of the phase's ``info`` metric."""
        self.telemetry.state.gauge(metric(self.phase, "info"), model=self.model, **labels).set(1)

    def parameters(self, count: int) -> None:
        """Report how many weights the model has, trainable or not."""
        self._gauge("model_parameters_count").set(count)

    def report(self, values: Mapping[str, SupportsFloat]) -> None:
        """Report the model's own metrics, of an evaluation of one's own.

        Args:
            values: What each is called, and its value.
        """
        with self.telemetry.trouble.contained("report metrics"):
            self.metrics(_plain(values))

    def metrics(self, values: Iterable[tuple[str, float]]) -> None:
        """Report the model's own metrics.

        A value that is not finite takes its series away and is counted. A ``loss`` that is not finite means that the
        run has diverged, unless a later one is finite again; without a ``loss``, any ``..._loss`` does, validation's
        aside.

        Args:
            values: What the framework calls each metric, and its value.
        """
        values = list(values)
        losses = _losses(key for key, _ in values)
        values = [(key, value) for key, value in values if key in losses or self._exports(key)]
        names = self.telemetry.names(self.phase, self.model).give(key for key, _ in values)
        for key, value in values:
            if not math.isfinite(value):
                self._count_nonfinite(names[key], 1)
            if self._exports(key):
                row = find(self.phase, names[key]) or model_metric(self.phase, names[key])
                self.telemetry.state.gauge(row, model=self.model).set(value)
        if losses:
            self._diverged = not all(math.isfinite(value) for key, value in values if key in losses)

    def weights(self, summary: WeightSummary) -> None:
        """Report the distribution of the trainable weights; one that is not finite means that the run diverged."""
        row = metric(self.phase, "model_weights")
        self.telemetry.state.snapshot(row, model=self.model).set(summary.distribution)
        if summary.nonfinite:
            self._count_nonfinite(row.suffix, summary.nonfinite)
            self._diverged = True

    def note_loss(self, value: float) -> None:
        """Report the loss as it stood when the run was cut short: one that is not finite means that it diverged."""
        if not math.isfinite(value):
            self.metrics([(_LOSS, value)])

    def end(self, error: BaseException | None = None) -> None:
        """End the run; only the first call counts.

        Args:
            error: What ended it early, if anything did. Ctrl-C and ``sys.exit`` mean that it was interrupted, any
                other exception that it failed.
        """
        with self._lock:
            is_first, self._ended = not self._ended, True
        if not is_first:
            self._spans.leave()
            return
        self._take_back()
        outcome = self._outcome(error)
        self._settle(outcome)
        self._spans.close(outcome, error)

    def _exports(self, key: str) -> bool:
        return self._only is None or key in self._only

    def _settle(self, outcome: Outcome) -> None:
        now = self.telemetry.clock.time()
        self._elapsed_gauge.set(self._elapsed())
        self._gauge("last_completion_timestamp").set(now)
        if outcome is Outcome.SUCCESS:
            self._gauge("last_success_timestamp").set(now)
        self._show_outcome(outcome)

    def _outcome(self, error: BaseException | None) -> Outcome:
        if isinstance(error, _CUT_SHORT):
            return Outcome.INTERRUPTED
        if self._diverged:
            return Outcome.DIVERGED
        return Outcome.SUCCESS if error is None else Outcome.FAILED

    def _cut_off(self, error: BaseException | None) -> None:
        """End because the telemetry is being closed while the run is still on."""
        self.end(error if error is not None else SystemExit())

    def _show_outcome(self, outcome: Outcome | None) -> None:
        for each, gauge in self._outcomes.items():
            gauge.set(1 if each is outcome else 0)

    def _count_nonfinite(self, suffix: str, count: int) -> None:
        row = metric(self.phase, "nonfinite")
        self.telemetry.state.counter(row, model=self.model, metric=suffix).add(count)

    def _gauge(self, suffix: str) -> Gauge:
        return self.telemetry.state.gauge(metric(self.phase, suffix), model=self.model)


class TrainingRun(Run):
    """A training run: epochs of steps.

    ``step_to`` may be called from any thread, and late; the rest from one thread.

    Args:
        telemetry: Where to report.
        model: The model's name.
        only: As for :class:`Run`.
    """

    def __init__(self, telemetry: Reporting, model: str, *, only: Container[str] | None = None) -> None:
        super().__init__(telemetry, Phase.TRAIN, model, only=only)
        state = telemetry.state
        self._running = self._gauge("running")
        self._running.set(1)
        self._steps = state.counter(metric(Phase.TRAIN, "steps"), model=model)
        self._step_duration = state.histogram(metric(Phase.TRAIN, "step_duration"), model=model)
        self._heartbeat = self._gauge("last_step_timestamp")
        self._stepping = threading.Lock()
        self._steps_of_epoch = self._epochs = 0
        self._in_epoch = False
        self._epoch_began = self._last_step = self._idle_since = telemetry.clock.monotonic()

    def step(self, values: Mapping[str, SupportsFloat] | None = None, *, count: int = 1) -> None:
        """Report steps of a loop of one's own; the first after an epoch begins the next one.

        Args:
            values: The model's own metrics, if they are known by now. To look at one may wait for a device: give them
                every so many steps.
            count: How many steps.
        """
        with self.telemetry.trouble.contained("report a step"):
            self._begin_own_epoch()
            self.step_to(self._steps_of_epoch + count)
            if values is not None:
                self.metrics(_plain(values))

    def epoch(self, values: Mapping[str, SupportsFloat]) -> None:
        """Report the end of an epoch of a loop of one's own.

        Args:
            values: The model's own metrics.
        """
        with self.telemetry.trouble.contained("report an epoch"):
            self._begin_own_epoch()
            self.end_epoch(self._epochs + 1, _plain(values))
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


def _losses(keys: Iterable[str]) -> frozenset[str]:
    """Return the keys by which a run is seen to diverge: the loss, or the losses of a model that has several."""
    keys = frozenset(keys)
    if _LOSS in keys:
        return frozenset({_LOSS})
    return frozenset(key for key in keys if key.endswith(f"_{_LOSS}") and not key.startswith("val_"))


def _plain(values: Mapping[str, SupportsFloat]) -> list[tuple[str, float]]:
    return [(key, float(value)) for key, value in values.items()]

"""Training and evaluation runs: what an adapter reports of them, turned into series.

An adapter owns a run from its begin to its end and calls the methods of this module from its framework's hooks. Nothing
here knows a framework; values are plain numbers.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Container, Iterable
from typing import TYPE_CHECKING

from gangplank.catalogue import find, metric, model_metric
from gangplank.metrics import Outcome, Phase
from gangplank.series import Gauge
from gangplank.telemetry import Telemetry

if TYPE_CHECKING:
    from gangplank.weights import WeightSummary

_LOSS = "loss"
_CUT_SHORT = (KeyboardInterrupt, SystemExit, GeneratorExit)


class Run:
    """One run of a phase over one model, from its construction to :meth:`end`.

    A new run of the same model and phase takes the series of the run before away, except for counters, which go on,
    and for what outlives a run.

    Args:
        telemetry: Where to report.
        phase: Training or evaluation.
        model: The model's name.
        only: Which of the model's own metrics to export, by the framework's names; all, if None. The loss is watched
            for divergence even if it is not exported.
    """

    def __init__(self, telemetry: Telemetry, phase: Phase, model: str, *, only: Container[str] | None = None) -> None:
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
        self._take_back = telemetry.on_close(self._cut_off)

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
            if self._ended:
                return
            self._ended = True
        self._take_back()
        self._settle(self._outcome(error))

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

    def __init__(self, telemetry: Telemetry, model: str, *, only: Container[str] | None = None) -> None:
        super().__init__(telemetry, Phase.TRAIN, model, only=only)
        state = telemetry.state
        self._running = self._gauge("running")
        self._running.set(1)
        self._steps = state.counter(metric(Phase.TRAIN, "steps"), model=model)
        self._step_duration = state.histogram(metric(Phase.TRAIN, "step_duration"), model=model)
        self._heartbeat = self._gauge("last_step_timestamp")
        self._stepping = threading.Lock()
        self._steps_of_epoch = 0
        self._epoch_began = self._last_step = telemetry.clock.monotonic()

    def begin_epoch(self) -> None:
        """Report that an epoch begins."""
        with self._stepping:
            self._steps_of_epoch = 0
            self._epoch_began = self._last_step = self.telemetry.clock.monotonic()

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
        self._gauge("epochs_count").set(completed)
        self._gauge("epoch_duration").set(self.telemetry.clock.monotonic() - self._epoch_began)

    def learning_rate(self, value: float) -> None:
        """Report the optimizer's learning rate."""
        self._gauge("learning_rate").set(value)

    def _settle(self, outcome: Outcome) -> None:
        self._running.set(0)
        super()._settle(outcome)


def _losses(keys: Iterable[str]) -> frozenset[str]:
    """Return the keys by which a run is seen to diverge: the loss, or the losses of a model that has several."""
    keys = frozenset(keys)
    if _LOSS in keys:
        return frozenset({_LOSS})
    return frozenset(key for key in keys if key.endswith(f"_{_LOSS}") and not key.startswith("val_"))

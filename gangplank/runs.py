"""Training and evaluation runs: what is reported of them, turned into series and spans.

An adapter owns a run from its begin to its end and calls the methods of this module from its framework's hooks; a
training loop of one's own does so from a ``with`` block. Nothing here knows a framework; values are plain numbers.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Container, Iterable, Mapping
from types import TracebackType
from typing import Protocol, Self, SupportsFloat

from gangplank.catalogue import find, metric, model_metric
from gangplank.clock import Clock
from gangplank.metrics import Outcome, Phase
from gangplank.naming import Names
from gangplank.run_spans import RunSpans
from gangplank.series import Gauge
from gangplank.state import State
from gangplank.tracing import Tracing
from gangplank.trouble import Trouble
from gangplank.weight_series import WeightSeries
from gangplank.weights.layers import whole
from gangplank.weights.summary import WeightSummary

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

    def run_ended(self) -> None:
        """Deliver what a run came to, if it is now or never."""
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
        rank: Which process of a distributed run this is, from 0. All series then say so, and what is the same in all
            processes, the model's own metrics and its weights, is exported by the first alone.

    Attributes:
        is_first: Whether this is that process, or the only one.
    """

    def __init__(
        self,
        telemetry: Reporting,
        phase: Phase,
        model: str,
        *,
        only: Container[str] | None = None,
        rank: int | None = None,
    ) -> None:
        self.telemetry = telemetry
        self.phase = phase
        self.model = model
        self._only = only
        self.is_first = rank in (None, 0)
        self._labels = {"model": model} if rank is None else {"model": model, "rank": str(rank)}
        self._lock = threading.Lock()
        self._ended = False
        self._diverged = False
        telemetry.state.begin_run(phase, model, self._labels.get("rank"))
        clock = telemetry.clock
        began = clock.monotonic()
        self._elapsed: Callable[[], float] = lambda: clock.monotonic() - began
        # A run that ends late, when the next one has begun, must not write over it: the series that the next one
        # takes away are the very objects that are kept here.
        self._elapsed_gauge = self._gauge("elapsed_time")
        self._elapsed_gauge.follow(self._elapsed)
        outcome = metric(phase, "outcome")
        self._outcomes = {each: telemetry.state.gauge(outcome, outcome=each.value, **self._labels) for each in Outcome}
        self._show_outcome(None)
        self._weights = WeightSeries(telemetry.state, phase, self._labels)
        self._count_nonfinite(_LOSS, 0)
        self._spans = RunSpans(telemetry.tracing, telemetry.trouble, phase, self._labels)
        self._take_back = telemetry.on_close(self._cut_off)

    def __enter__(self) -> Self:
        self.telemetry.notify()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self.telemetry.trouble.contained("end a run"):
            self.end(error)
        self.telemetry.notify()
        self.telemetry.run_ended()

    @property
    def is_on(self) -> bool:
        """Whether the run has not ended yet."""
        return not self._ended

    def info(self, **labels: str) -> None:
        """Say what ran; the labels are those of the phase's ``info`` metric."""
        self.telemetry.state.gauge(metric(self.phase, "info"), **self._labels, **labels).set(1)

    def parameters(self, count: int) -> None:
        """Report how many weights the model has, trainable or not."""
        if self.is_first:
            self._gauge("model_parameters_count").set(count)

    def report(self, values: Mapping[str, SupportsFloat]) -> None:
        """Report the model's own metrics, of an evaluation of one's own.

        Args:
            values: What each is called, and its value.
        """
        with self.telemetry.trouble.contained("report metrics"):
            self.metrics(self._plain(values))

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
                self.telemetry.state.gauge(row, **self._labels).set(value)
        if losses:
            self._diverged = not all(math.isfinite(value) for key, value in values if key in losses)

    def weights(self, layers: WeightSummary | Mapping[str, WeightSummary], *, most_layers: int = 0) -> None:
        """Report the trainable weights; one that is not finite means that the run has diverged.

        Args:
            layers: What :func:`gangplank.summarize_weights` said of the whole model, or of each layer, with the same
                bounds for all.
            most_layers: How many layers to report on their own, the largest first; the others are reported together.
        """
        with self.telemetry.trouble.contained("report weights"):
            parts = {"": layers} if isinstance(layers, WeightSummary) else layers
            summary = whole(parts)
            if summary is None:
                return
            if self.is_first:
                self._weights.show(summary, parts, most_layers)
            if summary.nonfinite:
                self._count_nonfinite("model_weights", summary.nonfinite)
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

    def _plain(self, values: Mapping[str, SupportsFloat]) -> list[tuple[str, float]]:
        """Return values as numbers; what is none is left out, and said once."""
        if not isinstance(values, Mapping):
            self.telemetry.trouble.report("report metrics", TypeError(f"they must be a mapping, not {values!r}"))
            return []
        numbers: list[tuple[str, float]] = []
        for key, value in values.items():
            try:
                numbers.append((str(key), float(value)))
            except (TypeError, ValueError, OverflowError) as error:
                self.telemetry.trouble.report(f"report the metric {key!r}", error)
        return numbers

    def _exports(self, key: str) -> bool:
        return self.is_first and (self._only is None or key in self._only)

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
        self.telemetry.state.counter(row, metric=suffix, **self._labels).add(count)

    def _gauge(self, suffix: str) -> Gauge:
        return self.telemetry.state.gauge(metric(self.phase, suffix), **self._labels)


def _losses(keys: Iterable[str]) -> frozenset[str]:
    """Return the keys by which a run is seen to diverge: the loss, or the losses of a model that has several."""
    keys = frozenset(keys)
    if _LOSS in keys:
        return frozenset({_LOSS})
    return frozenset(key for key in keys if key.endswith(f"_{_LOSS}") and not key.startswith("val_"))

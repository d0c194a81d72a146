"""The Keras callback: ``fit`` and ``evaluate`` become runs."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, Self

import keras

from gangplank import checks
from gangplank.errors import ConfigurationError
from gangplank.locks import Lock
from gangplank.metrics import Phase
from gangplank.runs import Run
from gangplank.telemetry import Telemetry
from gangplank.training import TrainingRun
from gangplank.weights.options import Weights
from gangplank_keras import ranks, readings, witness
from gangplank_keras.readings import Logs
from gangplank_keras.report import Report, TrainingReport

_default: Telemetry | None = None
_default_lock = Lock()


class TelemetryCallback(keras.callbacks.Callback):
    """Reports training and evaluation.

    One callback can serve any number of ``fit`` and ``evaluate`` calls and models, one after another. Validation inside
    ``fit`` belongs to training; an ``evaluate`` that is given the callback is an evaluation, also when another callback
    calls it during ``fit``.

    Args:
        telemetry: Where to report. By default one that joins the process's OpenTelemetry MeterProvider. It is started,
            if it was not, when the first run begins.
        metrics: Which of the model's metrics to export, by the names that Keras's logs have for them. All that are
            numbers, if None.
        histogram_buckets: Upper-inclusive bounds for the distribution of the trainable weights at the end of a run, or
            ``"auto"``: short for ``weights=Weights(histogram_buckets=...)``.
        weights: What to report of the trainable weights, and when. Nothing, if None.
        every_n_steps: Report the model's metrics within an epoch too, every so many steps, as Keras has them by then:
            most are means over the epoch so far. For epochs that take hours; the steps in between are not looked at.
        name: The label ``model`` of all series. By default each model's own name.

    Raises:
        TypeError: an argument has the wrong type.
        ConfigurationError: an argument has a value that is not allowed.
    """

    async_safe = True  # batch hooks may run on another thread; JAX and torch then need not wait for them

    def __init__(
        self,
        telemetry: Telemetry | None = None,
        *,
        metrics: Iterable[str] | None = None,
        histogram_buckets: Iterable[float] | str | None = None,
        weights: Weights | None = None,
        every_n_steps: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__()
        if telemetry is not None and not isinstance(telemetry, Telemetry):
            raise TypeError(f"telemetry must be a gangplank.Telemetry, not {telemetry!r}")
        self._wanted = checks.names("metrics", metrics)
        self._weights = _weights(weights, histogram_buckets)
        self._every_n_steps = None if every_n_steps is None else checks.count("every_n_steps", every_n_steps)
        self._name = None if name is None else checks.text("name", name)
        self.telemetry = default_telemetry() if telemetry is None else telemetry
        self._forget_runs()
        self._watch()

    def _watch(self) -> None:
        """Have the ends of runs be seen for as long as this is alive."""
        witness.watch(self)

    def _forget_runs(self) -> None:
        # More than one if a call with this callback is made inside another; the hooks are then the inner one's.
        self._trainings: list[TrainingReport] = []
        self._evaluations: list[Report | None] = []  # None for validation, which is no run
        self._just_attached = False

    def __copy__(self) -> Self:
        """Return a callback of the same settings for the same telemetry, with no run."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._forget_runs()  # noqa: SLF001 - of this class
        twin._watch()  # noqa: SLF001 - of this class
        return twin

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Return the same as ``copy.copy``: tuners copy their callbacks, and telemetry is not theirs to copy."""
        memo[id(self)] = twin = self.__copy__()
        return twin

    def set_model(self, model: Any) -> None:  # noqa: ANN401 - Keras is untyped
        """Take the model of the call that begins."""
        super().set_model(model)
        # Keras attaches its callbacks once a call; validation inside fit reuses the list that fit attached.
        self._just_attached = True

    def on_train_begin(self, logs: Logs = None) -> None:  # noqa: ARG002 - Keras's signature
        """Begin a training run."""
        with self.telemetry.trouble.contained("begin a training run"):
            self._begin_training()
        self._announce()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Begin an epoch."""
        if self._trainings:
            with self.telemetry.trouble.contained("begin an epoch"):
                self._trainings[-1].begin_epoch(epoch + 1)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Count the step. Its logs are looked at only if that was asked for: reading them would wait."""
        try:
            training = self._trainings[-1]
            training.step_to(batch + 1)
            if self._every_n_steps is not None and training.is_due(batch + 1, self._every_n_steps):
                training.metrics(logs)
                self.telemetry.notify()
        except Exception as error:  # noqa: BLE001 - contained(), without its cost on the hot path
            if self._trainings:
                self.telemetry.trouble.report("count a step", error, detail=True)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Report the epoch."""
        if self._trainings:
            self._trainings[-1].end_epoch(epoch + 1, logs)
            self._announce()

    def on_train_end(self, logs: Logs = None) -> None:  # noqa: ARG002
        """End the training run, unless the end of ``fit`` will be seen: a later callback may still make it fail."""
        if self._trainings and not self._trainings[-1].is_witnessed:
            self._leave(self._trainings[-1], None)

    def on_test_begin(self, logs: Logs = None) -> None:  # noqa: ARG002
        """Begin an evaluation, unless it is validation inside ``fit``."""
        attached, self._just_attached = self._just_attached, False
        is_validation = bool(self._trainings) and not attached
        if is_validation:
            self._evaluations.append(None)
            self._trainings[-1].run.begin_validation()
        else:
            with self.telemetry.trouble.contained("begin an evaluation"):
                self._begin_evaluation()

    def on_test_end(self, logs: Logs = None) -> None:
        """Report the evaluation, and end it as a training run is ended."""
        report = self._evaluations.pop() if self._evaluations else None
        if report is not None:
            report.metrics(logs)
            if not report.is_witnessed:
                self._leave(report, None)
        elif self._trainings:
            self._trainings[-1].run.end_validation()

    def on_predict_begin(self, logs: Logs = None) -> None:  # noqa: ARG002
        """Note that this attachment was for a prediction."""
        self._just_attached = False

    def begin_late(self, method: str, model: Any) -> None:  # noqa: ANN401
        """Begin the run of a ``fit`` or ``evaluate`` that failed before Keras called any hook."""
        with self.telemetry.trouble.contained(f"begin a run that failed in {method}"):
            self.set_model(model)
            if method == "fit":
                self._begin_training()
            else:
                self._just_attached = False
                self._begin_evaluation()

    def _begin_training(self) -> None:
        self._just_attached = False
        self.telemetry.start_if_possible()
        if self._trainings and not self._trainings[-1].is_witnessed:
            self._leave(self._trainings[-1], SystemExit())  # left without a word: its fit was none of keras.Model's
        model = self._called_model("fit")
        name = self._name or readings.model_name(model)
        run = TrainingRun(self.telemetry, name, only=self._wanted, rank=ranks.rank())
        report = TrainingReport(run, model, self._weights)
        params = self.params or {}
        report.steps_per_epoch = params.get("steps")
        if params.get("epochs"):
            run.plan(params["epochs"])
        self._trainings.append(report)
        report.is_witnessed = witness.began("fit", functools.partial(self._leave, report))
        report.begin()

    def _begin_evaluation(self) -> None:
        self.telemetry.start_if_possible()
        model = self._called_model("evaluate")
        name = self._name or readings.model_name(model)
        run = Run(self.telemetry, Phase.TEST, name, only=self._wanted, rank=ranks.rank())
        report = Report(run, model, self._weights)
        self._evaluations.append(report)
        report.is_witnessed = witness.began("evaluate", functools.partial(self._leave, report))

    def _called_model(self, method: str) -> Any:  # noqa: ANN401
        # self.model is that of the last call which this callback was given to, and that one may be over.
        model = witness.called_model(method)
        return self.model if model is None else model

    def _leave(self, report: Report, error: BaseException | None) -> None:
        """End a run as its Keras call ended."""
        self._trainings = [training for training in self._trainings if training is not report]
        if error is not None:  # calls inside this one have ended too, if without a last hook
            first = self._evaluations.index(report) if report in self._evaluations else 0
            del self._evaluations[first:]
        was_on = report.run.is_on
        report.leave(error)
        if was_on and error is None:
            self._announce()
        elif was_on:
            self.telemetry.notify()  # never raise: the user's own exception is on its way
        if was_on:
            self.telemetry.run_ended()

    def _announce(self) -> None:
        """Tell the exits that there is something new."""
        self.telemetry.notify()


def _weights(given: Weights | None, histogram_buckets: Iterable[float] | str | None) -> Weights | None:
    """Return what to report of weights, by either argument.

    Raises:
        TypeError: an argument has the wrong type.
        ConfigurationError: both are given, or the bounds are not allowed.
    """
    if given is not None and not isinstance(given, Weights):
        raise TypeError(f"weights must be a gangplank.Weights, not {given!r}")
    if histogram_buckets is None:
        return given
    if given is not None:
        raise ConfigurationError(
            "histogram_buckets and weights are both given; say weights=Weights(histogram_buckets=...)"
        )
    return Weights(histogram_buckets=histogram_buckets)


def default_telemetry() -> Telemetry:
    """Return the telemetry of those that are given none."""
    global _default  # noqa: PLW0603 - one for the process, so that callbacks without end do not mean states without end
    with _default_lock:
        if _default is None or _default.is_closed:
            _default = Telemetry()
        return _default

"""The Keras callback: ``fit`` and ``evaluate`` become runs."""

from __future__ import annotations

import contextlib
import copy
import platform
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Self

import keras

from gangplank import checks
from gangplank.binding import package_version
from gangplank.catalogue import Phase
from gangplank.errors import ConfigurationError, ExportError
from gangplank.runs import Run, TrainingRun
from gangplank.telemetry import Telemetry
from gangplank.weights import summarize
from gangplank_keras import readings, witness

Logs = Mapping[str, Any] | None

_default: Telemetry | None = None
_default_lock = threading.Lock()


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
        histogram_buckets: Upper-inclusive bounds for the distribution of the trainable weights, which is taken at the
            end of a run. None is taken if None.

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
        histogram_buckets: Iterable[float] | None = None,
    ) -> None:
        super().__init__()
        if telemetry is not None and not isinstance(telemetry, Telemetry):
            raise TypeError(f"telemetry must be a gangplank.Telemetry, not {telemetry!r}")
        self._wanted = None if metrics is None else _metric_names(metrics)
        self._bounds = (
            None if histogram_buckets is None else checks.bucket_bounds("histogram_buckets", histogram_buckets)
        )
        self.telemetry = _default_telemetry() if telemetry is None else telemetry
        self._forget_runs()
        witness.watch(self)

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Return a callback of the same settings for the same telemetry, with no run: tuners copy their callbacks."""
        twin = copy.copy(self)
        twin._forget_runs()  # noqa: SLF001 - of this class
        memo[id(self)] = twin
        witness.watch(twin)
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
        self.telemetry.notify()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002
        """Begin an epoch."""
        run = self._training
        if run is not None:
            with self.telemetry.trouble.contained("begin an epoch"):
                run.begin_epoch()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:  # noqa: ARG002 - reading them would wait
        """Count the step."""
        run = self._training
        if run is not None:
            try:
                run.step_to(batch + 1)
            except Exception as error:  # noqa: BLE001 - contained(), without its cost on the hot path
                self.telemetry.trouble.report("count a step", error, detail=True)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Report the epoch."""
        run = self._training
        if run is None:
            return
        with self.telemetry.trouble.contained("read the model"):
            self._report_model(run, self._trained_model)
            self._report_learning_rate(run)
        with self.telemetry.trouble.contained("report an epoch"):
            run.end_epoch(epoch + 1, readings.numbers(logs))
        self.telemetry.notify()

    def on_train_end(self, logs: Logs = None) -> None:  # noqa: ARG002
        """End the training run."""
        run = self._training
        if run is None:
            return
        with self.telemetry.trouble.contained("report the weights"):
            self._report_model(run, self._trained_model)
            self._report_weights(run, self._trained_model)
        self._leave_training(None)
        self.telemetry.notify()

    def on_test_begin(self, logs: Logs = None) -> None:  # noqa: ARG002
        """Begin an evaluation, unless it is validation inside ``fit``."""
        attached, self._just_attached = self._just_attached, False
        is_validation = self._training is not None and not attached
        if is_validation:
            return
        with self.telemetry.trouble.contained("begin an evaluation"):
            self._begin_evaluation()

    def on_test_end(self, logs: Logs = None) -> None:
        """Report and end the evaluation."""
        run = self._evaluation
        if run is None:
            return
        with self.telemetry.trouble.contained("report an evaluation"):
            self._report_model(run, self.model)
            run.metrics(readings.numbers(logs))
            self._report_weights(run, self.model)
        self._leave_evaluation(None)
        self.telemetry.notify()

    def on_predict_begin(self, logs: Logs = None) -> None:  # noqa: ARG002
        """Note that this attachment was for a prediction."""
        self._just_attached = False

    def _forget_runs(self) -> None:
        self._training: TrainingRun | None = None
        self._trained_model: Any = None
        self._evaluation: Run | None = None
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
        self._start()
        if self._training is not None:
            self._training.end(SystemExit())  # left without a word: its fit was none of keras.Model's
        self._trained_model = self.model
        run = TrainingRun(self.telemetry, readings.model_name(self._trained_model), only=self._wanted)
        self._training = run
        run.info(
            keras=keras.__version__,
            backend=keras.backend.backend(),
            gangplank=package_version(),
            python=platform.python_version(),
        )
        self._report_model(run, self._trained_model)
        self._report_learning_rate(run)
        witness.began("fit", self._leave_training_unless_ended)

    def _begin_evaluation(self) -> None:
        self._start()
        self._evaluation = Run(self.telemetry, Phase.TEST, readings.model_name(self.model), only=self._wanted)
        witness.began("evaluate", self._leave_evaluation_unless_ended)

    def _start(self) -> None:
        with self.telemetry.trouble.contained("start an exporter"):
            self.telemetry.start()

    def _leave_training_unless_ended(self, error: BaseException | None) -> None:
        run = self._training
        if run is None:
            return
        if isinstance(error, Exception):
            # A run that was stopped because of its loss, as by TerminateOnNaN(raise_error=True), has diverged.
            with self.telemetry.trouble.contained("read the last loss"):
                loss = readings.running_loss(self._trained_model)
                if loss is not None:
                    run.note_loss(loss)
        self._leave_training(error)
        self._notify_quietly()

    def _leave_training(self, error: BaseException | None) -> None:
        run, self._training, self._trained_model = self._training, None, None
        if run is not None:
            with self.telemetry.trouble.contained("end a training run"):
                run.end(error)

    def _leave_evaluation_unless_ended(self, error: BaseException | None) -> None:
        if self._evaluation is not None:
            self._leave_evaluation(error)
            self._notify_quietly()

    def _leave_evaluation(self, error: BaseException | None) -> None:
        run, self._evaluation = self._evaluation, None
        if run is not None:
            with self.telemetry.trouble.contained("end an evaluation"):
                run.end(error)

    def _notify_quietly(self) -> None:
        # Counted and logged by the exit. The user's own exception is on its way, and goes first.
        with contextlib.suppress(ExportError):
            self.telemetry.notify()

    def _report_model(self, run: Run, model: Any) -> None:  # noqa: ANN401
        count = readings.parameter_count(model)
        if count is not None:
            run.parameters(count)

    def _report_learning_rate(self, run: TrainingRun) -> None:
        rate = readings.learning_rate(self._trained_model)
        if rate is not None:
            run.learning_rate(rate)

    def _report_weights(self, run: Run, model: Any) -> None:  # noqa: ANN401
        if self._bounds is not None:
            run.weights(summarize(readings.trainable_weights(model), self._bounds))


def _default_telemetry() -> Telemetry:
    global _default  # noqa: PLW0603 - one for the process, so that callbacks without end do not mean states without end
    with _default_lock:
        if _default is None or _default.is_closed:
            _default = Telemetry()
        return _default


def _metric_names(value: Any) -> frozenset[str]:  # noqa: ANN401 - checked here
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"metrics must be a list of metric names, not {value!r}")
    names = list(value)
    for index, name in enumerate(names):
        checks.text(f"metrics[{index}]", name)
    if not names:
        raise ConfigurationError("metrics must name at least one metric; None, the default, means all")
    return frozenset(names)

"""One run of one Keras model: what is read from the model, and when."""

from __future__ import annotations

import platform
import threading
from collections.abc import Iterable
from typing import Any

import keras

from gangplank.binding import package_version
from gangplank.runs import Run
from gangplank.training import TrainingRun
from gangplank.weights.options import Weights
from gangplank_keras import readings
from gangplank_keras.weight_reader import WeightReader


class Report:
    """A run, with the model that it is of.

    Args:
        run: The run, which has just begun.
        model: The Keras model.
        weights: What to report of the trainable weights, if anything.

    Attributes:
        is_witnessed: Whether the end of the Keras call will be seen. Else the last hook has to do for it.
    """

    def __init__(self, run: Run, model: Any, weights: Weights | None) -> None:  # noqa: ANN401
        self.run = run
        self.is_witnessed = False
        self._model = model
        self._weights = None if weights is None else WeightReader(run, model, weights)
        self._completed = 0
        self._contained = run.telemetry.trouble.contained

    def read_model(self) -> None:
        """Report the model's parameters, once it is built."""
        with self._contained("count the parameters"):
            count = readings.parameter_count(self._model)
            if count is not None:
                self.run.parameters(count)

    def metrics(self, logs: readings.Logs) -> None:
        """Report the model's own metrics."""
        with self._contained("report metrics"):
            self.run.metrics(readings.numbers(logs))

    def leave(self, error: BaseException | None) -> None:
        """End the run as the Keras call ended, if it is on still."""
        try:
            if self.run.is_on:
                self._read_what_is_left(error)
        except BaseException as interruption:  # Ctrl-C, while the weights are read
            error = interruption
            if self._weights is not None:
                self._weights.give_up()
            raise
        finally:
            with self._contained("end a run"):
                self.run.end(error)

    def _read_what_is_left(self, error: BaseException | None) -> None:
        self.read_model()
        if self._weights is not None:
            if error is None:
                self._weights.end(self._completed)
            else:
                self._weights.give_up()
        if isinstance(error, Exception):
            self._read_last_loss()

    def _read_last_loss(self) -> None:
        """A run that was stopped because of its loss, as by TerminateOnNaN(raise_error=True), has diverged."""
        with self._contained("read the last loss"):
            loss = readings.running_loss(self._model)
            if loss is not None:
                self.run.note_loss(loss)


class TrainingReport(Report):
    """A training run, with the model that is trained.

    Attributes:
        steps_per_epoch: How many steps an epoch has, if Keras knows.
    """

    run: TrainingRun
    steps_per_epoch: int | None = None

    def __init__(self, run: TrainingRun, model: Any, weights: Weights | None) -> None:  # noqa: ANN401
        super().__init__(run, model, weights)
        self._reporting = threading.Lock()
        self._reported = 0

    def begin_epoch(self, number: int) -> None:
        """Report that an epoch begins, the first of which is 1."""
        with self._reporting:
            self._reported = 0
        self.run.begin_epoch(number)

    def is_due(self, steps: int, every: int) -> bool:
        """Whether metrics are to be reported, ``steps`` steps of this epoch having been taken.

        Keras may take several at once, and may tell of steps from several threads, out of their order.
        """
        with self._reporting:
            is_due = steps // every > self._reported // every
            self._reported = max(self._reported, steps)
            return is_due

    def begin(self) -> None:
        """Report what is known before the first step."""
        with self._contained("say what runs"):
            self.run.info(
                keras=keras.__version__,
                backend=keras.backend.backend(),
                gangplank=package_version(),
                python=platform.python_version(),
            )
        self.read_model()
        self._read_learning_rate()
        if self._weights is not None:
            self._weights.begin()

    def step_to(self, steps: int) -> None:
        """Report that ``steps`` steps of this epoch have been taken."""
        # With several steps per execution, Keras counts on beyond the last.
        self.run.step_to(min(steps, self.steps_per_epoch or steps))

    def end_epoch(self, completed: int, logs: readings.Logs) -> None:
        """Report the end of an epoch, ``completed`` of which are done by now."""
        self.read_model()
        self._read_learning_rate()
        values: Iterable[tuple[str, float]] = ()
        with self._contained("read the logs"):
            values = readings.numbers(logs)
        with self._contained("report an epoch"):
            self.run.end_epoch(completed, values)
        self._completed = completed
        if self._weights is not None:
            self._weights.end_epoch(completed)

    def _read_learning_rate(self) -> None:
        with self._contained("read the learning rate"):
            rate = readings.learning_rate(self._model)
            if rate is not None:
                self.run.learning_rate(rate)

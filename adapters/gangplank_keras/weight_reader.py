"""When a model's trainable weights are read, and on which thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from gangplank.locks import Lock
from gangplank.runs import Run
from gangplank.training import TrainingRun
from gangplank.weights.options import Weights
from gangplank.weights.schedule import Schedule
from gangplank.weights.summary import WeightSummary
from gangplank_keras import tensors
from gangplank_keras.measuring import Measuring, Part

_logger = logging.getLogger("gangplank.keras")


class WeightReader:
    """Reads the weights of one model during one run, and at its end.

    Args:
        run: The run.
        model: The Keras model.
        options: What to report, and when.
    """

    def __init__(self, run: Run, model: Any, options: Weights) -> None:  # noqa: ANN401 - Keras is untyped
        self._run = run
        self._model = model
        self._options = options
        self._trouble = run.telemetry.trouble
        self._clock = run.telemetry.clock
        self._began = self._clock.monotonic()
        self._schedule = Schedule(options.every_n_epochs, options.max_share)
        # It keeps a copy of the weights, which only the process that shows them has a use for.
        self._compares = options.updates and isinstance(run, TrainingRun) and run.is_first
        self._measuring = Measuring(model, options, compares=self._compares)
        self._beside: threading.Thread | None = None
        self._reporting = Lock()  # also in a forked child, where what is read beside is read no more
        self._is_over = False
        self._read_after: int | None = None

    def begin(self) -> None:
        """Take note of the weights that a training begins with, if it is to be said how far they moved."""
        if self._compares:
            with self._trouble.contained("read the weights"):
                self._measuring.keep()
        if self._options.gradients and not tensors.gives_gradients(self._model):
            _logger.warning(
                "the norm of gradients is not exported: only PyTorch keeps them, and not with a LossScaleOptimizer as "
                "they are"
            )

    def end_epoch(self, completed: int) -> None:
        """Read the weights if they are due: beside the training where it leaves tensors alone that are held, else now.

        Args:
            completed: How many epochs are done.
        """
        is_busy = self._beside is not None and self._beside.is_alive()
        if is_busy or not self._run.is_first:
            return
        if not self._schedule.is_due(completed, self._clock.monotonic() - self._began):
            return
        self._read_after = completed
        with self._trouble.contained("read the weights"):
            if not tensors.ARE_IMMUTABLE:
                self._read()
                return
            began, parts = self._clock.monotonic(), self._measuring.begin()
            self._beside = threading.Thread(
                target=self._read_beside, args=(parts, began), name="gangplank-weights", daemon=True
            )
            self._beside.start()

    def end(self, completed: int) -> None:
        """Read the weights as the run leaves them, which may be others than after the last epoch.

        Args:
            completed: How many epochs are done.
        """
        if self._beside is not None:
            self._beside.join()
        if self._read_after == completed:  # between this and the last reading was no training
            self._measuring.stop_comparing()
        with self._trouble.contained("read the weights"):
            self._read()

    def give_up(self) -> None:
        """Report no more: the run has failed, and nobody waits for what is being read."""
        with self._reporting:
            self._is_over = True

    def _read(self) -> None:
        began = self._clock.monotonic()
        try:
            self._report(self._measuring.finish(self._measuring.begin()))
        finally:
            self._took(began)

    def _read_beside(self, parts: list[Part], began: float) -> None:
        try:
            with self._trouble.contained("read the weights"):
                self._report(self._measuring.finish(parts, threads=1))
        finally:
            self._took(began)
        self._run.telemetry.notify()

    def _report(self, layers: Mapping[str, WeightSummary]) -> None:
        with self._reporting:
            if self._is_over or not self._run.is_on:
                return
            self._run.weights(layers or self._measuring.nothing(), most_layers=self._options.layers)
            if isinstance(self._run, TrainingRun) and self._options.gradients:
                norm = tensors.gradients_norm(self._model)
                if norm is not None:
                    self._run.gradients_norm(norm)

    def _took(self, began: float) -> None:
        """Take note of what a reading cost, be it that it failed."""
        took = self._clock.monotonic() - began
        self._schedule.took(took)
        if isinstance(self._run, TrainingRun):
            self._run.weights_took(took)

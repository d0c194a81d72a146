"""Small models, and a look at what was counted of them, that the inference tests share."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import keras
import needs
import numpy as np
import numpy.typing as npt
import pytest

from gangplank.distribution import Distribution
from gangplank.testing import InMemoryExporter

Array = npt.NDArray[np.float32]
T = TypeVar("T")

BACKEND: str = keras.backend.backend()
SAMPLES = 7

trains = pytest.mark.skipif(BACKEND not in ("tensorflow", "jax", "torch"), reason=f"Keras cannot train on {BACKEND}")
"""Marks what needs ``fit``."""


def only(backend: str) -> pytest.MarkDecorator:
    """Mark what is about one backend."""
    return pytest.mark.skipif(backend != BACKEND, reason=f"about {backend}, and this is {BACKEND}")


def imported(module: str) -> Any:
    """Return a module that the test needs."""
    needs.module(module)
    return importlib.import_module(module)


def samples(rows: int = SAMPLES, width: int = 3) -> Array:
    """Return inputs, always the same."""
    return np.random.default_rng(0).normal(size=(rows, width)).astype("float32")


def dense(name: str = "net") -> Any:
    """Return a model that makes 2 numbers of 3."""
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name=name)


class Calling(keras.Model):
    """A model whose ``call`` is a function."""

    def __init__(self, function: Callable[..., Any], name: str = "net") -> None:
        super().__init__(name=name)
        self.function = function

    def call(self, inputs: Any) -> Any:
        """Call the function."""
        return self.function(inputs)


def array(tensor: Any) -> npt.NDArray[Any]:
    """Return a tensor of the backend as an array."""
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def variables(model: Any) -> tuple[list[Any], list[Any]]:
    """Return what ``stateless_call`` takes first: the values of the trainable and of the other variables."""
    trainable, others = (
        [variable.value for variable in held] for held in (model.trainable_variables, model.non_trainable_variables)
    )
    return trainable, others


def at_once(threads: int, function: Callable[[int], object]) -> None:
    """Call a function with the number of the thread, on so many threads that begin together; what one raises is raised.

    Raises:
        TimeoutError: a thread did not end.
    """
    barrier = threading.Barrier(threads)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            barrier.wait(30)
            function(number)
        except BaseException as error:  # noqa: BLE001 - raised below, on the thread of the test
            errors.append(error)

    workers = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    if any(worker.is_alive() for worker in workers):
        raise TimeoutError("a thread did not end")
    if errors:
        raise errors[0]


class Seen:
    """What was counted of one model.

    Args:
        exporter: The exit to look into.
        model: The label of the model.
    """

    def __init__(self, exporter: InMemoryExporter, model: str = "net") -> None:
        self.exporter = exporter
        self.model = model

    def of(self, model: str) -> Seen:
        """Return what was counted of another one."""
        return Seen(self.exporter, model)

    @property
    def predicted(self) -> float:
        """Samples predicted."""
        return self._number("gangplank_predict_total")

    @property
    def called(self) -> float:
        """Samples predicted by calling the model."""
        return self._number("gangplank_predict_call_total")

    @property
    def in_flight(self) -> float:
        """Calls that are running."""
        return self._number("gangplank_predict_in_flight")

    @property
    def seconds(self) -> tuple[float, float]:
        """Time in predictions, and in calls."""
        return (
            self._number("gangplank_predict_time_seconds_total"),
            self._number("gangplank_predict_call_time_seconds_total"),
        )

    @property
    def batches(self) -> Distribution:
        """Samples per call."""
        return self._distribution("gangplank_predict_batch_size")

    @property
    def calls(self) -> dict[str, int]:
        """How often each method succeeded."""
        return {method: number for (method, error), number in self._durations() if not error and number}

    @property
    def failures(self) -> dict[tuple[str, str], int]:
        """How often each method raised what; its durations and its errors agree."""
        failures = {key: number for key, number in self._durations() if key[1] and number}
        counted = {
            (labels["method"], labels["error_type"]): value
            for labels, value in self._series("gangplank_predict_errors_total")
        }
        assert counted == failures
        return failures

    @property
    def nothing(self) -> bool:
        """Whether no call left a trace."""
        return (self.predicted, self.called, self.in_flight, self.seconds) == (0, 0, 0, (0, 0)) and not (
            self.calls or self.failures or self.batches.count
        )

    def drift(self) -> dict[str, float]:
        """Return the samples by what became of their test for drift."""
        return {labels["result"]: self._float(value) for labels, value in self._drift_series() if value}

    def _drift_series(self) -> list[tuple[dict[str, str], float | Distribution]]:
        return list(self._series("gangplank_predict_drift_samples_total"))

    def _durations(self) -> Iterator[tuple[tuple[str, str], int]]:
        for labels, value in self._series("gangplank_predict_duration_seconds"):
            assert isinstance(value, Distribution)
            yield (labels["method"], labels["error_type"]), value.count

    def _series(self, name: str) -> list[tuple[dict[str, str], float | Distribution]]:
        return [(labels, value) for labels, value in self.exporter.series(name) if labels["model"] == self.model]

    def _number(self, name: str) -> float:
        return self._float(self.exporter.value(name, model=self.model))

    def _distribution(self, name: str) -> Distribution:
        value = self.exporter.value(name, model=self.model)
        assert isinstance(value, Distribution), name
        return value

    @staticmethod
    def _float(value: float | Distribution | None) -> float:
        assert isinstance(value, (int, float)), value
        return value

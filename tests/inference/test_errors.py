"""A call that raises: the exception is the caller's, untouched; it is counted; and threads lose no call."""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Callable
from typing import Any

import keras
import pytest
from inference_suite import SAMPLES, Calling, Seen, at_once, dense, samples
from keras_suite import raising

from gangplank import Telemetry, TelemetryModel
from gangplank.testing import InMemoryExporter

THREADS, CALLS = 8, 200


class Failing(keras.Model):
    """A model all of whose predictions are one function's."""

    def __init__(self, function: Callable[..., Any], name: str = "net") -> None:
        super().__init__(name=name)
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.function()

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.function()

    def predict_on_batch(self, *args: Any) -> Any:
        """Call the function."""
        return self.function()

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.function()

    def stateless_call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.function()


METHODS = ("predict", "predict_on_batch", "__call__", "call", "stateless_call")
ERRORS = (ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration, MemoryError)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ERRORS)
def test_the_exception_is_the_callers(method: str, kind: type[BaseException], telemetry: Telemetry, seen: Seen) -> None:
    """It is the same object, without a cause of ours, and its traceback ends where it was raised."""
    error = kind("no")
    proxy = TelemetryModel(Failing(raising(error)), telemetry)
    with pytest.raises(kind) as caught:
        proxy(samples()) if method == "__call__" else getattr(proxy, method)(samples())
    assert caught.value is error
    assert error.__cause__ is None
    assert error.__context__ is None
    frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert frames[-2:] == [method, "function"]
    assert seen.failures == {(method, kind.__name__): 1}
    assert (seen.predicted, seen.called, seen.in_flight, seen.calls) == (0, 0, 0, {})


def test_an_error_inside_of_keras(telemetry: Telemetry, seen: Seen) -> None:
    """What a layer raises arrives as Keras passes it on."""

    class OddError(Exception):
        pass

    model = Calling(lambda _: raising(OddError("deep"))())
    proxy = TelemetryModel(model, telemetry)
    with pytest.raises(OddError, match="deep"):
        proxy(samples())
    with pytest.raises(OddError, match="deep"):
        proxy.predict(samples(), verbose=0)
    assert seen.failures == {("__call__", "OddError"): 1, ("predict", "OddError"): 1}
    assert seen.in_flight == 0


class Odd(dict[str, Any]):
    """Inputs that cannot be looked through."""

    def values(self) -> Any:
        """Raise."""
        raise LookupError("not to be iterated")


def _endless() -> list[Any]:
    inputs: list[Any] = []
    inputs.append(inputs)
    return inputs


@pytest.mark.parametrize("inputs", [Odd(x=1), _endless()], ids=["a mapping that raises", "a list of itself"])
def test_inputs_that_cannot_be_looked_through(inputs: Any, exporter: InMemoryExporter) -> None:
    """The caller gets the model's exception even where telemetry stumbles over the arguments."""
    with Telemetry(exporters=[exporter]) as telemetry:
        proxy = TelemetryModel(Failing(raising(ValueError("the model's"))), telemetry)
        with pytest.raises(ValueError, match="the model's") as caught:
            proxy.predict(inputs)
    assert caught.value.__context__ is None
    assert Seen(exporter).in_flight == 0
    assert exporter.value("gangplank_export_errors_total") == 1


def test_time_of_calls_that_failed(telemetry: Telemetry, seen: Seen) -> None:
    """They took time, of which the counters of seconds tell, and are no batch."""
    proxy = TelemetryModel(Failing(raising(ValueError())), telemetry)
    for method in (proxy.predict, proxy):
        with pytest.raises(ValueError, match=r"^$"):
            method(samples())
    predicting, calling = seen.seconds
    assert predicting > 0
    assert calling > 0
    assert seen.batches.count == 0


def test_types_without_end(telemetry: Telemetry, seen: Seen) -> None:
    """Code that makes exception types makes 50 series of them, and one for all others."""
    numbers = iter(range(60))

    def fail() -> None:
        raise type(f"Error{next(numbers)}", (Exception,), {})

    proxy = TelemetryModel(Failing(fail), telemetry)
    for _ in range(60):
        with pytest.raises(Exception, match=r"^$"):
            proxy.predict()
    assert len(seen.failures) == 51
    assert seen.failures["predict", "_OTHER"] == 10


def test_calls_in_flight(telemetry: Telemetry, seen: Seen) -> None:
    """They are as many as there are, on whatever threads, and none once they have ended, one way or the other."""
    inside, leave = threading.Semaphore(0), threading.Event()

    def wait() -> Any:
        inside.release()
        assert leave.wait(30)
        if threading.current_thread().name.endswith("fails"):
            raise ValueError
        return samples()

    proxy = TelemetryModel(Failing(wait), telemetry)

    def call() -> None:
        with contextlib.suppress(ValueError):
            proxy(samples())

    threads = [
        threading.Thread(target=call, name=f"{number} {word}") for number in range(2) for word in ("ok", "fails")
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert inside.acquire(timeout=30)
    assert seen.in_flight == 4
    leave.set()
    for thread in threads:
        thread.join(30)
    assert seen.in_flight == 0
    assert (seen.called, seen.failures) == (2 * SAMPLES, {("__call__", "ValueError"): 2})


def test_a_call_inside_a_call(telemetry: Telemetry, seen: Seen) -> None:
    """A model that is called while it predicts is two calls, in flight together."""
    flights: list[float] = []

    def outer() -> Any:
        flights.append(seen.in_flight)
        if len(flights) == 1:
            proxy(samples())
        return samples()

    proxy = TelemetryModel(Failing(outer), telemetry)
    proxy.predict(samples())
    assert flights == [1, 2]
    assert (seen.in_flight, seen.predicted, seen.called) == (0, SAMPLES, SAMPLES)


def test_threads_lose_no_call(telemetry: Telemetry, seen: Seen) -> None:
    """8 threads of 200 real calls each: every sample, call and error is counted once."""
    model, x = dense(), samples()
    proxy = TelemetryModel(model, telemetry)
    model(x)  # built, and compiled where a backend compiles, before there is a race for it

    def work(number: int) -> None:
        for call in range(CALLS):
            proxy(x[: 1 + (number + call) % SAMPLES])
            if call % 50 == 0:
                with pytest.raises(ValueError, match="incompatible"):
                    proxy(x[:, :2])

    at_once(THREADS, work)
    expected = sum(1 + (number + call) % SAMPLES for number in range(THREADS) for call in range(CALLS))
    assert seen.called == seen.batches.sum == expected
    assert seen.calls == {"__call__": THREADS * CALLS}
    assert seen.failures == {("__call__", "ValueError"): THREADS * 4}
    assert (seen.in_flight, seen.predicted) == (0, 0)

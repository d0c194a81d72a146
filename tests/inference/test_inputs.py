"""Whatever Keras predicts from, its proxy does, with the same result; and 7 samples are 7."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from inference_suite import BACKEND, SAMPLES, Array, Seen, array, dense, imported, samples

from gangplank import Drift, Telemetry, TelemetryModel

# Of a generator that has an end, without steps.
pytestmark = pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")

Source = Callable[[], Any]


class Batches(keras.utils.PyDataset):
    """Two batches, of 4 and of 3."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[Array]:
        return (samples()[4 * index : 4 * index + 4],)


def generator(x: Array | None = None, size: int = 4) -> Iterator[tuple[Array]]:
    """Yield inputs in batches."""
    x = samples() if x is None else x
    for begin in range(0, len(x), size):
        yield (x[begin : begin + size],)


def tf_data() -> Any:
    """Return a ``tf.data.Dataset``."""
    return imported("tensorflow").data.Dataset.from_tensor_slices(samples()).batch(4)


def data_loader() -> Any:
    """Return a PyTorch ``DataLoader``."""
    torch = imported("torch")
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(samples()))
    return torch.utils.data.DataLoader(dataset, batch_size=4)


def tf_tensor() -> Any:
    """Return a tensor of TensorFlow, which every backend takes."""
    return imported("tensorflow").constant(samples())


SOURCES: list[Source] = [samples, generator, Batches, tf_data, data_loader, tf_tensor]
NAMES = ["array", "generator", "PyDataset", "tf.data", "DataLoader", "tf.Tensor"]


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
@pytest.mark.parametrize("is_named", [False, True])
def test_sources(source: Source, is_named: bool, telemetry: Telemetry, seen: Seen) -> None:
    """The result is the model's, and the samples are as many as there were in all batches."""
    model = dense()
    expected = model.predict(source(), verbose=0)
    proxy = TelemetryModel(model, telemetry)
    found = proxy.predict(x=source(), verbose=0) if is_named else proxy.predict(source(), verbose=0)
    np.testing.assert_array_equal(found, expected)
    assert seen.predicted == seen.batches.sum == SAMPLES
    assert seen.calls == {"predict": 1}


@pytest.mark.parametrize("method", ["predict", "predict_on_batch"])
def test_tensors_of_the_backend(method: str, telemetry: Telemetry, seen: Seen) -> None:
    """A tensor where an array would do."""
    if (BACKEND, method) == ("openvino", "predict_on_batch"):
        pytest.skip("Keras's predict_on_batch takes no tensors on openvino")
    model, x = dense(), keras.ops.convert_to_tensor(samples())
    proxy = TelemetryModel(model, telemetry)
    np.testing.assert_array_equal(getattr(proxy, method)(x), getattr(model, method)(x))
    assert seen.predicted == SAMPLES


def _of_two(inputs: Any, first: Any, second: Any) -> Any:
    joined = keras.layers.Concatenate()([first, second])
    return keras.Model(inputs, keras.layers.Dense(2)(joined), name="net")


def _listed() -> tuple[Any, Any]:
    first, second = keras.Input((3,)), keras.Input((5,))
    return _of_two([first, second], first, second), [samples(), samples(width=5)]


def _named() -> tuple[Any, Any]:
    inputs = {"a": keras.Input((3,), name="a"), "b": keras.Input((5,), name="b")}
    return _of_two(inputs, *inputs.values()), {"a": samples(), "b": samples(width=5)}


def _nested() -> tuple[Any, Any]:
    first, second = keras.Input((3,), name="a"), keras.Input((5,), name="b")
    inputs = {"a": first, "rest": [second]}
    return _of_two(inputs, first, second), {"a": samples(), "rest": [samples(width=5)]}


@pytest.mark.filterwarnings("ignore:(?s).*structure of `inputs` doesn't match:UserWarning")  # Keras on openvino
@pytest.mark.parametrize("made", [_listed, _named, _nested], ids=["list", "dict", "nested"])
def test_several_inputs(made: Callable[[], tuple[Any, Any]], telemetry: Telemetry, seen: Seen) -> None:
    """Inputs in a list, a dictionary, or a nest of both, by every method."""
    model, inputs = made()
    proxy = TelemetryModel(model, telemetry)
    np.testing.assert_array_equal(proxy.predict(inputs, verbose=0), model.predict(inputs, verbose=0))
    np.testing.assert_array_equal(proxy.predict_on_batch(inputs), model.predict_on_batch(inputs))
    np.testing.assert_array_equal(array(proxy(inputs)), array(model(inputs)))
    assert (seen.predicted, seen.called) == (2 * SAMPLES, SAMPLES)


class Drawn:
    """Six batches of 4, which counts what is drawn from them."""

    def __init__(self) -> None:
        self.count = 0
        self.batches = self._draw()

    def _draw(self) -> Iterator[tuple[Array]]:
        for batch in generator(samples(24)):
            self.count += 1
            yield batch


@pytest.mark.parametrize("steps", [None, 2])
@pytest.mark.parametrize("watch", [False, True], ids=["alone", "with drift"])
def test_a_generator_is_drawn_from_once(steps: int | None, watch: bool, telemetry: Telemetry, seen: Seen) -> None:
    """Each batch is drawn once, and none that the model alone would not have drawn: what is left is the caller's."""
    model, theirs, ours = dense(), Drawn(), Drawn()
    function = (lambda _x, _y: Drift()) if watch else None
    proxy = TelemetryModel(model, telemetry, get_drift_metrics_func=function)
    expected = model.predict(theirs.batches, steps=steps, verbose=0)
    np.testing.assert_array_equal(proxy.predict(ours.batches, steps=steps, verbose=0), expected)
    assert seen.predicted == len(expected)
    assert (steps or 6) <= ours.count <= 6
    if steps is None or BACKEND != "tensorflow":  # which draws in advance, on a thread of its own
        assert ours.count == theirs.count
        assert len(list(ours.batches)) == len(list(theirs.batches))


def test_an_error_of_the_generator_is_the_callers(telemetry: Telemetry, seen: Seen) -> None:
    """It arrives as from the model alone, and counts as an error of the call."""

    def broken() -> Iterator[tuple[Array]]:
        yield from generator(samples(12))
        raise LookupError("no more")

    with pytest.raises(Exception) as theirs:  # noqa: PT011 - TensorFlow makes its own error of it
        dense().predict(broken(), verbose=0)
    with pytest.raises(theirs.type):
        TelemetryModel(dense(), telemetry).predict(broken(), verbose=0)
    assert seen.failures == {("predict", theirs.type.__name__): 1}
    assert (seen.predicted, seen.in_flight) == (0, 0)


def test_what_keras_refuses(telemetry: Telemetry, seen: Seen) -> None:
    """A plain list of numbers, or a wrong shape, is refused in Keras's own words."""
    for wrong in ([[1.0, 2.0, 3.0]], samples(width=2)):  # a model each, since Keras leaves some broken
        with pytest.raises(ValueError, match=r".") as theirs:
            dense().predict(wrong, verbose=0)
        with pytest.raises(ValueError, match=r".") as ours:
            TelemetryModel(dense(), telemetry, name="net").predict(wrong, verbose=0)
        assert type(ours.value) is type(theirs.value)
    with pytest.raises(TypeError, match="unexpected keyword argument 'batches'"):
        TelemetryModel(dense(), telemetry, name="net").predict(samples(), batches=3)
    assert seen.failures == {("predict", "ValueError"): 2, ("predict", "TypeError"): 1}

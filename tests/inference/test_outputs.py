"""How many samples there are in what a model returns: 7 for 7, whatever nest they come in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from inference_suite import SAMPLES, Calling, Seen, dense, imported, only, samples, variables

from gangplank import Telemetry, TelemetryModel

Function = Callable[[Any], Any]


class Pair(NamedTuple):
    """Two outputs."""

    first: Any
    second: Any


def _ranked(x: Any) -> list[Any]:
    """Return outputs of rank 1, 2 and 3, the batch axis first in all."""
    return [keras.ops.sum(x, axis=1), x, keras.ops.expand_dims(x, 2)]


def _with_scalar(x: Any) -> list[Any]:
    return [keras.ops.sum(x), x]


OUTPUTS: dict[str, Function] = {
    "single": lambda x: x,
    "rank 1": lambda x: x[:, 0],
    "list": lambda x: [x, x],
    "list of one": lambda x: [x],
    "tuple": lambda x: (x, x[:, :1]),
    "dict": lambda x: {"scores": x, "box": x[:, :1]},
    "nested": lambda x: {"heads": [x, (x, {"deep": x})], "tail": x},
    "ranks": _ranked,
    "dict of ranks": lambda x: dict(enumerate(_ranked(x))),
    "named tuple": lambda x: Pair(x, x),
    "a scalar before": _with_scalar,
}


@pytest.mark.parametrize("function", OUTPUTS.values(), ids=OUTPUTS.keys())
def test_a_call_counts_its_samples(function: Function, telemetry: Telemetry, seen: Seen) -> None:
    """``model(x)`` returns the backend's tensors, or NumPy's where that is the backend."""
    proxy = TelemetryModel(Calling(function), telemetry)
    proxy(samples())
    assert (seen.called, seen.predicted) == (SAMPLES, 0)
    assert (seen.batches.count, seen.batches.sum) == (1, SAMPLES)


@pytest.mark.parametrize("function", OUTPUTS.values(), ids=OUTPUTS.keys())
@pytest.mark.parametrize("method", ["predict", "predict_on_batch"])
def test_a_prediction_counts_its_samples(method: str, function: Function, telemetry: Telemetry, seen: Seen) -> None:
    """``predict`` returns arrays: 7 samples of a dictionary of two outputs are 7, not 2 and not 14."""
    if function is _with_scalar and method == "predict":
        pytest.skip("Keras joins the batches of a prediction, which scalars cannot be")
    model = Calling(function)
    expected = getattr(model, method)(samples())
    found = getattr(TelemetryModel(model, telemetry), method)(samples())
    keras.tree.map_structure(np.testing.assert_array_equal, found, expected)
    assert (seen.predicted, seen.called) == (SAMPLES, 0)


def test_a_batch_of_none_is_none(telemetry: Telemetry, seen: Seen) -> None:
    """No samples are 0, in a call that counts."""
    TelemetryModel(dense(), telemetry)(samples(0))
    assert (seen.called, seen.batches.count, seen.calls) == (0, 1, {"__call__": 1})


def test_a_scalar_output_has_no_samples(telemetry: Telemetry, seen: Seen) -> None:
    """The call is counted; there is no batch to speak of."""
    proxy = TelemetryModel(Calling(keras.ops.sum), telemetry)
    proxy(samples())
    proxy.predict_on_batch(samples())
    assert (seen.called, seen.predicted, seen.batches.count) == (0, 0, 0)
    assert seen.calls == {"__call__": 1, "predict_on_batch": 1}


def test_the_variables_of_stateless_call_are_no_outputs(telemetry: Telemetry, seen: Seen) -> None:
    """What it returns beside a scalar output are weights, and weights are no samples."""
    norm = keras.layers.BatchNormalization()
    model = Calling(lambda x: keras.ops.sum(norm(x)))
    model.norm = norm
    model(samples())
    TelemetryModel(model, telemetry).stateless_call(*variables(model), samples())
    assert seen.calls == {"stateless_call": 1}
    assert (seen.called, seen.batches.count) == (0, 0)


class Labelling(keras.Model):
    """Predicts what is no tensor."""

    def __init__(self, function: Function) -> None:
        super().__init__(name="net")
        self.function = function

    def predict(self, images: Any) -> Any:
        """Call the function."""
        return self.function(images)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: [float(row.sum()) for row in x], SAMPLES),
        (lambda x: [np.float32(row.sum()) for row in x], SAMPLES),
        (lambda x: ["cat" if row.sum() > 0 else "dog" for row in x], SAMPLES),
        (lambda x: np.array(["cat"] * len(x)), SAMPLES),
        (lambda x: x.tolist()[0], 3),
        (lambda x: float(x.sum()), None),
        (lambda _: None, None),
        (lambda _: "cat", None),
        (lambda _: [], None),
        (lambda _: {}, None),
    ],
    ids=["numbers", "scalars", "words", "array of words", "row", "number", "None", "word", "no list", "no dict"],
)
def test_a_prediction_of_the_models_own(
    function: Function, expected: int | None, telemetry: Telemetry, seen: Seen
) -> None:
    """Of a list of plain values each is a sample; what has no batch is a call without."""
    outputs = function(samples())
    assert TelemetryModel(Labelling(lambda _: outputs), telemetry).predict(images=samples()) is outputs
    assert seen.calls == {"predict": 1}
    assert seen.predicted == (expected or 0)
    assert seen.batches.count == (expected is not None)


@only("tensorflow")
def test_ragged_outputs(telemetry: Telemetry, seen: Seen) -> None:
    """The rows of a ragged tensor are its samples."""
    tf = imported("tensorflow")
    ragged = tf.RaggedTensor.from_row_lengths(tf.range(10.0), [3, 0, 1, 2, 1, 1, 2])
    proxy = TelemetryModel(Labelling(lambda _: ragged), telemetry)
    assert proxy.predict(samples()) is ragged
    assert TelemetryModel(lambda x: {"tokens": x}, telemetry, name="net")(ragged)["tokens"] is ragged
    assert (seen.predicted, seen.called) == (SAMPLES, SAMPLES)


@only("tensorflow")
def test_sparse_outputs(telemetry: Telemetry, seen: Seen) -> None:
    """So are those of a sparse one."""
    tf = imported("tensorflow")
    TelemetryModel(tf.sparse.from_dense, telemetry, name="net")(samples())
    assert seen.called == SAMPLES

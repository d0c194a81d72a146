"""Weights on a device of their own: what is asked of it is the same on any, so here it is asked of the processor."""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap
from typing import Any

import keras
import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from keras_suite import At, settle

from gangplank import HISTOGRAM_WEIGHT_BUCKETS_1_0, Telemetry, TelemetryCallback, Weights, summarize_weights
from gangplank.testing import InMemoryExporter
from gangplank_keras import device_weights, tensors

BOUNDS = tuple(HISTOGRAM_WEIGHT_BUCKETS_1_0)
DTYPES: list[Any] = [np.float32, np.float16, ml_dtypes.bfloat16, np.int8]


def values(size: int, dtype: Any) -> npt.NDArray[Any]:
    """Return weights of that dtype: some on the bounds, some beyond, some no numbers."""
    random = np.random.default_rng(11)
    array = random.standard_normal(size) * (40 if dtype is np.int8 else 0.5)
    array[:21] = BOUNDS
    array[50:3000] = 0.0
    array = array.astype(dtype)
    if dtype is not np.int8:
        array[30:33] = np.asarray([math.nan, math.nan, 3.0]).astype(dtype)
    return array


def on_device(array: npt.NDArray[Any]) -> Any:
    """Return a tensor."""
    return tensors.of_variable(keras.Variable(array, dtype=str(array.dtype), trainable=False))[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [device_weights.PIECE, device_weights.PIECE + 1, 3 * device_weights.PIECE - 5])
def test_a_device_counts_as_the_host_does(dtype: Any, size: int) -> None:
    """Exactly; sums as well as single precision allows within a lane."""
    array = values(size, dtype)
    tensor = on_device(array)
    assert device_weights.suits(tensor)
    found, expected = device_weights.finish(device_weights.begin(tensor, BOUNDS)), summarize_weights([array], BOUNDS)
    assert found.distribution.cumulative == expected.distribution.cumulative
    assert found.nonfinite == expected.nonfinite
    assert (found.distribution.least, found.distribution.greatest) == (
        expected.distribution.least,
        expected.distribution.greatest,
    )
    scale = expected.norm / math.sqrt(size)
    assert found.distribution.sum == pytest.approx(expected.distribution.sum, abs=1e-6 * scale * size)
    assert found.stddev == pytest.approx(expected.stddev, rel=1e-5)
    assert found.norm == pytest.approx(expected.norm, rel=1e-5)
    assert found.update is None


def test_infinite_weights_are_in_the_outermost_buckets() -> None:
    """And leave no norm."""
    array = values(device_weights.PIECE, np.float32)
    array[40:43] = [math.inf, -math.inf, math.inf]
    found = device_weights.finish(device_weights.begin(on_device(array), BOUNDS))
    expected = summarize_weights([array], BOUNDS)
    assert found.distribution.cumulative == expected.distribution.cumulative
    assert found.nonfinite == 5
    assert (found.distribution.least, found.distribution.greatest) == (-math.inf, math.inf)
    assert math.isnan(found.norm)


def test_a_tensor_of_nan_has_no_distribution() -> None:
    """No number is in no bucket."""
    array = np.full(device_weights.PIECE + 7, np.nan, np.float32)
    found = device_weights.finish(device_weights.begin(on_device(array), BOUNDS))
    assert found.distribution.cumulative == (0,) * (len(BOUNDS) + 1)
    assert found.distribution.least is None
    assert found.nonfinite == array.size


@pytest.mark.parametrize("dtype", DTYPES[:3])
def test_a_device_compares_with_earlier_weights(dtype: Any) -> None:
    """Of which it keeps the copy."""
    random = np.random.default_rng(13)
    first, second = (random.standard_normal((700, 601)).astype(dtype) for _ in range(2))
    before = device_weights.copy(on_device(first))
    update = device_weights.finish(device_weights.begin(on_device(second), BOUNDS, before)).update
    first, second = first.astype(np.float64), second.astype(np.float64)
    assert update is not None
    assert update.ratio == pytest.approx(np.linalg.norm(second - first) / np.linalg.norm(first), rel=1e-5)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((device_weights.PIECE - 1,), "float32"), ((1000, 1000), "float64"), ((1000, 1000), "int32")]
)
def test_what_travels_whole(shape: tuple[int, ...], dtype: str) -> None:
    """What is small, and what float32 cannot hold."""

    class Tensor:
        def __init__(self) -> None:
            self.shape = shape
            self.dtype = dtype

    assert not device_weights.suits(Tensor())


def wide() -> Any:
    """Return a compiled model with one kernel that is worth to be summarized on its device."""
    layers = [keras.layers.Dense(600, name=name) for name in ("first", "second")]
    model = keras.Sequential([keras.Input((3,)), *layers], name="net")
    model.compile(optimizer="sgd", loss="mse")
    return model


def fit(model: Any, telemetry: Telemetry) -> None:
    """Train, and have weights reported after every epoch."""
    x = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
    options = Weights(every_n_epochs=1, layers=2, updates=True)
    ours = TelemetryCallback(telemetry, weights=options)
    model.fit(
        x, np.repeat(x, 200, axis=1), epochs=3, batch_size=8, verbose=0, callbacks=[ours, At("on_epoch_end", settle)]
    )


def shown(exporter: InMemoryExporter) -> dict[tuple[str, str], Any]:
    """Return what is shown of weights."""
    names = [name for name in exporter.names() if "_weights" in name and "time_seconds" not in name]
    return {(name, labels.get("layer", "")): value for name in names for labels, value in exporter.series(name)}


def test_weights_on_a_device_are_the_same_at_every_exit(
    telemetry: Telemetry, exporter: InMemoryExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if they had been read on the host, the copies that are compared with included."""
    keras.utils.set_random_seed(1)
    fit(wide(), telemetry)
    expected = shown(exporter)
    begun: list[int] = []
    begin = device_weights.begin

    def beginning(tensor: Any, *arguments: Any) -> Any:
        begun.append(math.prod(tensor.shape))
        return begin(tensor, *arguments)

    monkeypatch.setattr(tensors, "is_on_host", lambda _: False)
    monkeypatch.setattr(device_weights, "begin", beginning)
    keras.utils.set_random_seed(1)
    fit(wide(), telemetry)
    found = shown(exporter)
    assert set(begun) == {360_000}
    assert found.keys() == expected.keys()
    for key, value in found.items():
        if isinstance(value, float | int):
            assert value == pytest.approx(expected[key], rel=1e-4, abs=1e-9), key
        else:
            assert value.bounds == expected[key].bounds
            assert value.cumulative == expected[key].cumulative


@pytest.mark.parametrize("step", ["begin", "finish"])
def test_where_a_device_will_not_weights_are_copied_from_it(
    telemetry: Telemetry,
    exporter: InMemoryExporter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    step: str,
) -> None:
    """Out of memory, an operation that it lacks, told at once or late: said once, and the numbers are there in time."""

    def failing(*_: Any) -> Any:
        raise MemoryError("the device is full")

    monkeypatch.setattr(tensors, "is_on_host", lambda _: False)
    monkeypatch.setattr(device_weights, step, failing)
    model = wide()
    fit(model, telemetry)
    kernels = [keras.ops.convert_to_numpy(variable.value) for variable in model.trainable_variables]
    norm = math.sqrt(sum(float((kernel.astype(np.float64) ** 2).sum()) for kernel in kernels))
    assert exporter.value("gangplank_train_model_weights_norm", model="net") == pytest.approx(norm)
    assert exporter.value("gangplank_train_model_weights_update_ratio", model="net") is not None
    assert caplog.text.count("weights are copied from their device") == 1


SHARDED = """
    import os
    os.environ["KERAS_BACKEND"] = "jax"
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    import jax, keras, numpy as np
    from gangplank_keras import tensors
    variable = keras.Variable(np.arange(24.0).reshape(4, 6), name="kernel")
    mesh = jax.make_mesh((2,), ("model",))
    for axes in ((None, "model"), ("model", None), (None, None)):
        sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))
        variable._value = jax.device_put(variable.value, sharding)
        parts = [tensors.array_of(part) for part in tensors.of_variable(variable)]
        print(len(parts), int(sum(part.sum() for part in parts)), sum(part.size for part in parts))
"""


def test_weights_on_several_devices_are_each_read_once() -> None:
    """A share of each, or from one of them if all have the same."""
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SHARDED)], capture_output=True, text=True, timeout=120, check=True
    )
    assert process.stdout.split("\n")[:3] == ["2 276 24", "2 276 24", "1 276 24"]

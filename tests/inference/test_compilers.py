"""Compilers that trace a proxy get the model: the same result, and no call counted that served nobody."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from inference_suite import BACKEND, SAMPLES, Calling, Seen, array, dense, imported, only, samples, variables
from opentelemetry.sdk.trace import TracerProvider

from gangplank import Telemetry, TelemetryModel
from gangplank.testing import InMemoryExporter

# Keras's NumPy backend finds shapes by computing with whatever lies in memory.
pytestmark = pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")

Wrapped = Callable[[Any], Any]


@pytest.fixture
def proxy(telemetry: Telemetry, seen: Seen) -> Iterator[Any]:
    """A proxy of which nothing was counted; when all is over, a call from outside of what was compiled is."""
    proxy = TelemetryModel(dense(), telemetry)
    assert seen.nothing
    yield proxy
    before = seen.called
    proxy(samples())
    assert seen.called == before + SAMPLES
    assert seen.in_flight == 0


def _calling(model: Any) -> Wrapped:
    """Return a function that calls a model."""

    def function(x: Any) -> Any:
        return model(x)

    return function


def _narrow(function: Wrapped) -> Wrapped:
    """Return a function that gives ``function`` what the model refuses."""
    return lambda x: function(x[:, :2])


def _tf_functions(tf: Any, proxy: Any) -> dict[str, Wrapped]:
    @tf.function  # type: ignore[untyped-decorator]
    def branching(x: Any) -> Any:
        if tf.reduce_sum(x) > 1e9:
            return proxy(x) * 2
        return proxy(x, training=False)

    return {
        "function that calls": tf.function(_calling(proxy)),
        "function of the proxy": tf.function(proxy),
        "function of call": tf.function(proxy.call),
        "autograph": branching,
        "xla": tf.function(_calling(proxy), jit_compile=True),
        "stateless": tf.function(lambda x: proxy.stateless_call(*variables(proxy), x)[0]),
        "constant": tf.function(lambda _: proxy(tf.constant(samples()))),
        "array": tf.function(lambda _: proxy(samples())),
    }


@only("tensorflow")
def test_tf_function(proxy: Any, seen: Seen) -> None:
    """However TensorFlow comes to trace it, AutoGraph included."""
    tf = imported("tensorflow")
    x = tf.constant(samples())
    expected = array(proxy.model(x))
    for name, function in _tf_functions(tf, proxy).items():
        for _ in range(2):
            np.testing.assert_allclose(array(function(x)), expected, rtol=1e-4, err_msg=name)
        assert seen.nothing, name


@only("tensorflow")
def test_tf_data_and_saved_model(proxy: Any, seen: Seen, tmp_path: Any) -> None:
    """A data pipeline traces as a function does, and so does an export."""
    tf = imported("tensorflow")
    x = samples()
    expected = array(proxy.model(x))
    batches = list(tf.data.Dataset.from_tensor_slices(x).batch(4).map(proxy))
    np.testing.assert_allclose(np.concatenate(batches), expected, rtol=1e-4)
    proxy.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved")
    np.testing.assert_allclose(array(loaded.serve(x)), expected, rtol=1e-4)
    assert seen.nothing


@only("tensorflow")
def test_an_error_while_tensorflow_traces(proxy: Any, seen: Seen) -> None:
    """It is the model's error, and fails no call."""
    tf = imported("tensorflow")
    for function in (_narrow(proxy), lambda _: proxy(samples(width=2)), proxy.predict_on_batch):
        with pytest.raises((ValueError, AttributeError)):
            tf.function(function)(tf.constant(samples()))
    assert seen.nothing


@only("tensorflow")
def test_what_tensorflow_runs_in_python_is_counted(proxy: Any, seen: Seen) -> None:
    """A GradientTape, ``py_function`` and functions that run eagerly call the model for real."""
    tf = imported("tensorflow")
    x = tf.constant(samples())
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(proxy(x))
    assert all(gradient is not None for gradient in tape.gradient(loss, proxy.trainable_variables))
    assert seen.called == SAMPLES
    function = tf.function(lambda x: tf.py_function(proxy, [x], tf.float32))
    function(x)
    function(x)
    assert seen.called == 3 * SAMPLES
    tf.config.run_functions_eagerly(True)
    try:
        tf.function(_calling(proxy))(x)
    finally:
        tf.config.run_functions_eagerly(False)
    assert seen.called == 4 * SAMPLES


def _jax_functions(jax: Any, proxy: Any) -> dict[str, tuple[Wrapped, Wrapped]]:
    """Return what JAX makes of the proxy, and what it makes of the model."""

    def both(make: Callable[[Any], Wrapped]) -> tuple[Wrapped, Wrapped]:
        return make(proxy), make(proxy.model)

    return {
        "jit of a function": both(lambda model: jax.jit(_calling(model))),
        "jit of the proxy": both(jax.jit),
        "jit of call": both(lambda model: jax.jit(model.call)),
        "jit of a constant": both(lambda model: jax.jit(lambda _: model(samples()))),
        "grad": both(lambda model: jax.grad(lambda x: model(x).sum())),
        "value and grad": both(lambda model: lambda x: jax.value_and_grad(lambda x: model(x).sum())(x)[1]),
        "vmap": both(lambda model: jax.vmap(lambda row: model(row[None])[0])),
        "all": both(lambda model: jax.jit(jax.vmap(jax.grad(lambda row: model(row[None]).sum())))),
        "scan": both(lambda model: lambda x: jax.lax.map(lambda row: model(row[None]), x)),
        "checkpoint": both(jax.checkpoint),
        "stateless": both(lambda model: jax.jit(lambda x: model.stateless_call(*variables(model), x)[0])),
    }


@only("jax")
def test_jax_transformations(proxy: Any, seen: Seen) -> None:
    """``jit``, ``grad``, ``vmap`` and what they are made into give what they give of the model."""
    jax = imported("jax")
    x = jax.numpy.asarray(samples())
    for name, (ours, theirs) in _jax_functions(jax, proxy).items():
        for _ in range(2):
            np.testing.assert_array_equal(ours(x), theirs(x), err_msg=name)
        assert seen.nothing, name
    assert jax.eval_shape(proxy, x).shape == (SAMPLES, 2)
    assert "dot_general" in str(jax.make_jaxpr(proxy)(x))
    assert seen.nothing


@only("jax")
def test_gradients_of_the_weights(proxy: Any, seen: Seen) -> None:
    """A training loop of one's own differentiates ``stateless_call``."""
    jax = imported("jax")
    trainable, others = variables(proxy)
    gradients = jax.grad(lambda weights: proxy.stateless_call(weights, others, samples())[0].sum())(trainable)
    assert [gradient.shape for gradient in gradients] == [(3, 2), (2,)]
    assert seen.nothing


@only("jax")
@pytest.mark.parametrize("given", ["a tracer", "a constant"])
def test_an_error_while_jax_traces(given: str, proxy: Any, seen: Seen) -> None:
    """It is the model's error, and fails no call, whether or not the tracer is among the arguments."""
    jax = imported("jax")
    function = _narrow(proxy) if given == "a tracer" else lambda _: proxy(samples(width=2))
    with pytest.raises(ValueError, match="incompatible"):
        jax.jit(function)(samples())
    assert seen.nothing


@only("torch")
@pytest.mark.filterwarnings("ignore::UserWarning")  # of what PyTorch sees in code that it does not compile
def test_torch_compile(proxy: Any, seen: Seen) -> None:
    """It breaks its graph at the proxy: the result is the model's, and each call is a call, the first included."""
    torch = imported("torch")
    x = torch.from_numpy(samples())
    expected = array(proxy.model(x))
    functions = [torch.compile(_calling(proxy), backend="eager"), torch.compile(proxy, backend="eager")]
    for function in functions:
        for _ in range(3):
            np.testing.assert_allclose(array(function(x)), expected, rtol=1e-5)
    assert (seen.called, seen.calls) == (6 * SAMPLES, {"__call__": 6})
    with pytest.raises(ValueError, match="incompatible"):
        torch.compile(_narrow(proxy), backend="eager")(x)
    assert seen.failures == {("__call__", "ValueError"): 1}


@only("torch")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_torch_compile_of_the_model_inside(proxy: Any, seen: Seen) -> None:
    """A compiled model in a proxy is measured."""
    torch = imported("torch")
    torch.compiler.reset()
    compiled = torch.compile(proxy.model, backend="eager")
    x = torch.from_numpy(samples())
    outer = TelemetryModel(compiled, proxy.telemetry, name="compiled")
    for _ in range(2):
        np.testing.assert_allclose(array(outer(x)), array(proxy.model(x)), rtol=1e-5)
    assert seen.of("compiled").called == 2 * SAMPLES


@only("torch")
def test_torch_jit_trace(proxy: Any, seen: Seen) -> None:
    """A trace serves nobody, and warns of no more than the model's own; what it made runs without the proxy."""
    torch = imported("torch")
    x = torch.from_numpy(samples())
    with warnings.catch_warnings(record=True) as theirs:
        warnings.simplefilter("always")
        torch.jit.trace(proxy.model, x, check_trace=False)
    with warnings.catch_warnings(record=True) as ours:
        warnings.simplefilter("always")
        traced = torch.jit.trace(proxy, x, check_trace=False)
    assert {str(one.message) for one in ours} <= {str(one.message) for one in theirs}
    assert seen.nothing
    np.testing.assert_allclose(array(traced(x)), array(proxy.model(x)), rtol=1e-5)
    assert seen.nothing


@only("torch")
@pytest.mark.filterwarnings("ignore:`torch.jit.trace.* is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Converting a tensor to a Python")  # the model's own, in a trace
def test_an_error_while_torch_traces(proxy: Any, seen: Seen) -> None:
    """It is the model's error, and fails no call."""
    torch = imported("torch")
    narrow = torch.from_numpy(samples(width=2))
    with pytest.raises(ValueError, match="incompatible"):
        torch.export.export(proxy, (narrow,))
    assert seen.nothing
    with pytest.raises(ValueError, match="incompatible"):
        torch.jit.trace(proxy, narrow)
    assert seen.nothing


@only("torch")
def test_torch_export(proxy: Any, seen: Seen) -> None:
    """The exported program is the model's."""
    torch = imported("torch")
    x = torch.from_numpy(samples())
    program = torch.export.export(proxy, (x,))
    np.testing.assert_allclose(array(program.module()(x)), array(proxy.model(x)), rtol=1e-5)
    assert seen.nothing


@only("openvino")
def test_openvino_builds_a_graph(proxy: Any, seen: Seen, tmp_path: Any) -> None:
    """A model that calls a proxy is compiled once, by a call with parameters of a graph, and exported by another."""

    class Around(keras.Model):
        def call(self, inputs: Any) -> Any:
            return proxy(inputs)

    outer = Around()
    np.testing.assert_array_equal(outer.predict(samples(), verbose=0), proxy.model.predict(samples(), verbose=0))
    proxy.export(str(tmp_path / "net.xml"), format="openvino", verbose=False)
    assert (tmp_path / "net.xml").is_file()
    assert seen.nothing


@pytest.fixture
def spans() -> Any:
    """An exporter of spans to look into, with the provider that feeds it."""
    exporter = imported("opentelemetry.sdk.trace.export.in_memory_span_exporter").InMemorySpanExporter()
    exporter.provider = TracerProvider()
    exporter.provider.add_span_processor(imported("opentelemetry.sdk.trace.export").SimpleSpanProcessor(exporter))
    return exporter


def test_a_trace_makes_no_span(spans: Any, exporter: InMemoryExporter) -> None:
    """Where a tracer listens, a call with stand-ins for tensors has no span, and a real one has."""
    with Telemetry(exporters=[exporter], tracer_provider=spans.provider) as telemetry:
        proxy = TelemetryModel(dense(), telemetry)
        proxy(keras.Input((3,)))
        with pytest.raises(ValueError, match="incompatible"):
            proxy(keras.Input((2,)))
        assert spans.get_finished_spans() == ()
        proxy(samples())
        proxy.predict(samples(), verbose=0)
    assert [span.name for span in spans.get_finished_spans()] == ["__call__ net", "predict net"]


def test_made_up_values_make_no_span(spans: Any, exporter: InMemoryExporter) -> None:
    """Nor has a call by which Keras finds the shapes of a model around, or that is traced as a constant."""
    with Telemetry(exporters=[exporter], tracer_provider=spans.provider) as telemetry:
        proxy = TelemetryModel(dense(), telemetry)
        Calling(proxy, name="outer")(keras.Input((3,)))
        if BACKEND == "jax":
            imported("jax").jit(lambda: proxy(samples()))()
    assert Seen(exporter).nothing
    assert spans.get_finished_spans() == ()

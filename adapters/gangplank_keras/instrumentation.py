"""What instruments Keras: adds a callback to ``fit`` and ``evaluate``, and measures what models predict.

It is imported once Keras is, and takes itself back without a trace. That may be in the middle of the import of a module
of ours which imports Keras: names of theirs are only asked for when a model is used.
"""

from __future__ import annotations

import copy
import functools
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import keras

from gangplank.inference import Inference
from gangplank.locks import Lock
from gangplank.metrics import Phase
from gangplank.telemetry import Telemetry
from gangplank_keras import batches, callback, drift_lookout, proxied, readings, witness, wrapping
from gangplank_keras.settings import InstrumentorSettings

_PHASES = {"fit": Phase.TRAIN, "evaluate": Phase.TEST}
_PREDICTIONS = ("predict", "predict_on_batch")
_STEPS = ("train_on_batch", "test_on_batch")
_Measured = dict[str, Callable[..., Any]]

_MOST_MODELS = 200
"""How many names of models are told apart; any more are one. Keras gives each model without a name a new one."""
_OTHER_MODELS = "_OTHER"


class _Thread(threading.local):
    """What is on, on this thread."""

    in_prediction = False


class Instrumentation:
    """Keras, instrumented.

    Args:
        telemetry: Where to report.
        settings: What to report, and under which names.
    """

    def __init__(self, telemetry: Telemetry, settings: InstrumentorSettings) -> None:
        self._telemetry = telemetry
        self._settings = settings
        self._thread = _Thread()
        self._models: weakref.WeakKeyDictionary[Any, _Measured] = weakref.WeakKeyDictionary()
        self._is_on = True
        self._names: set[str] = set()
        self._originals: dict[str, Callable[..., Any]] = {}
        self._lock = Lock()
        self._undo: list[Callable[[], object]] = []
        self._lookout = drift_lookout.Lookout(settings.drift)

    def install(self) -> None:
        """Begin."""
        if any(phase not in self._settings.disabled for phase in _PHASES.values()):
            self._undo += [witness.watch(self), witness.add(self._with_callback)]
        if Phase.PREDICT not in self._settings.disabled:
            self._undo.append(self._lookout.install())
            for name in _PREDICTIONS:
                self._undo.append(wrapping.wrap(name, functools.partial(self._measuring, name)))
            self._undo.append(
                wrapping.wrap_attribute(keras.Model, "__call__", functools.partial(self._measuring, "__call__"))
            )
            for name in _STEPS:
                self._undo.append(wrapping.wrap(name, self._shielding))

    def remove(self) -> None:
        """Take everything back."""
        self._is_on = False  # for what another tool has wrapped, and so keeps
        while self._undo:
            self._undo.pop()()

    def _with_callback(self, method: str, model: Any, callbacks: Any) -> Any:  # noqa: ANN401 - Keras is untyped
        """Return the callbacks with one of ours, unless there is one, or the call is validation inside ``fit``."""
        if not self._is_on or _PHASES[method] in self._settings.disabled:
            return callbacks
        is_list = isinstance(callbacks, keras.callbacks.CallbackList)
        if is_list and method == "evaluate" and witness.called_model("fit") is model:
            return callbacks
        given = (
            list(callbacks.callbacks) if is_list else [one for one in keras.tree.flatten(callbacks) if one is not None]
        )
        if any(isinstance(one, callback.TelemetryCallback) for one in given):
            return callbacks
        ours = _kind_to_add()(
            self._telemetry,
            metrics=self._settings.metrics,
            weights=self._settings.weights,
            every_n_steps=self._settings.every_n_steps,
            name=self._name(model),
        )
        if not is_list:
            return [*given, ours]
        ours.set_params(callbacks.params)
        ours.set_model(model)
        extended = copy.copy(callbacks)
        extended.callbacks = [*given, ours]
        return extended

    def _measuring(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``original`` with the outermost calls of it on a thread measured, training's own left out."""
        is_call = name not in _PREDICTIONS

        self._originals[name] = original
        is_compiling = _compiling()

        @functools.wraps(original)
        def call(model: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            if is_compiling() or not self._is_on:
                return original(model, *args, **kwargs)
            thread = self._thread
            if thread.in_prediction or (is_call and (kwargs.get("training") or witness.is_in_call())):
                return original(model, *args, **kwargs)
            thread.in_prediction = True
            try:
                return self._method(name, model, args, kwargs)(model, *args, **kwargs)
            finally:
                thread.in_prediction = False

        return call

    def _shielding(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``original`` with no call that it makes measured: it trains, or tests, a model by a step."""

        @functools.wraps(original)
        def step(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            before, self._thread.in_prediction = self._thread.in_prediction, True
            try:
                return original(*args, **kwargs)
            finally:
                self._thread.in_prediction = before

        return step

    def _method(self, name: str, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[..., Any]:  # noqa: ANN401
        """Return what is to be called: the method, measured unless a proxy does that, or a compiler only traces it."""
        with self._telemetry.trouble.contained("measure a model"):
            if not proxied.is_proxied(model):
                measured = self._models.get(model)
                if measured is None and not (batches.is_trace((args, kwargs)) or batches.is_tracing()):
                    measured = self._begin(model)
                if measured is not None:
                    return measured[name]
        return self._originals[name]

    def _name(self, model: Any) -> str:  # noqa: ANN401
        """Return the name that a model is exported by."""
        name = self._settings.model_name or readings.model_name(model)
        with self._lock:
            if name not in self._names and len(self._names) >= _MOST_MODELS:
                return _OTHER_MODELS
            self._names.add(name)
        return name

    def _begin(self, model: Any) -> _Measured:  # noqa: ANN401
        """Begin to measure a model. Models of one name report together: one that is loaded anew is the same model."""
        with self._lock:
            if model in self._models:
                return self._models[model]
            inference = Inference(self._telemetry, self._name(model), is_exact=True)
            measured = {
                name: inference.measured(
                    original,
                    name,
                    is_call=name not in _PREDICTIONS,
                    sizes=batches.CALLS if name not in _PREDICTIONS else batches.PREDICTIONS,
                    is_trace=batches.is_trace,
                    is_tracing=batches.is_tracing,
                )
                for name, original in self._originals.items()
            }
            self._models[model] = measured
        # Without the lock, for it reads all weights: other models begin meanwhile, and this one's calls are counted.
        with self._telemetry.trouble.contained("watch a model for drift"):
            watch = self._lookout.watch(model, inference)
            if watch is not None:
                measured.update({name: watch.watched(measured[name], before=1) for name in _PREDICTIONS})
        return measured


def _compiling() -> Callable[[], bool]:
    """Return what tells a compiler that it is tracing, where it would stumble over anything else that it is shown."""
    return sys.modules["torch"].compiler.is_compiling if keras.backend.backend() == "torch" else bool


@functools.cache
def _kind_to_add() -> type[callback.TelemetryCallback]:
    """Return the kind of callback that is added to one call. It needs no watch of its own: ours will do."""

    class Added(callback.TelemetryCallback):
        def _watch(self) -> None:
            pass

    return Added

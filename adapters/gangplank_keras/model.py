"""The proxy: a Keras model whose predictions are measured."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import wrapt

from gangplank import checks
from gangplank.drift.monitor import DriftFunction
from gangplank.drift.naming import Detectors, named
from gangplank.inference import Inference
from gangplank.telemetry import Telemetry
from gangplank_keras import batches, proxied, readings
from gangplank_keras.callback import default_telemetry
from gangplank_keras.drift_watch import DriftWatch

_PREDICTIONS = ("predict", "predict_on_batch")
"""What counts as a prediction. All else is a call."""
_METHODS = (*_PREDICTIONS, "call", "stateless_call")
_SIZES = {
    "predict": batches.PREDICTIONS,
    "predict_on_batch": batches.PREDICTIONS,
    "stateless_call": batches.STATELESS_CALLS,
}


if TYPE_CHECKING:
    _Proxy = wrapt.ObjectProxy[Any]
else:  # it takes no subscript before wrapt 2.5
    _Proxy = wrapt.ObjectProxy


class _Measured:
    """A method of the model, measured; none where the model has none."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, proxy: TelemetryModel | None, owner: type) -> Any:  # noqa: ANN401 - the model's method
        if proxy is None:
            return self
        measured = proxy._self_method(self._name)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        wrapt.ObjectProxy.__setattr__(proxy, self._name, measured)  # where it is found before this is
        return measured


class TelemetryModel(_Proxy):
    """A Keras model whose predictions are measured. To all else it is the model itself.

    Measured are ``predict`` and ``predict_on_batch``, and as calls ``model(x)``, ``call`` and ``stateless_call``, each
    with what it takes, returns and raises untouched. Every other attribute is the model's, to read and to write;
    ``isinstance`` says what it says of the model, and ``proxy.model`` is the model itself.

    What is measured of ``model(x)`` is the time until it returns, which on JAX and on a GPU may be before the result is
    there. A call that ``tf.function``, ``jax.jit`` or ``torch.export`` traces is not counted, and what they compiled
    runs without the proxy: measure ``predict``, or call the model from outside of what is compiled. ``torch.compile``
    breaks its graph at the proxy, whose calls stay measured; it refuses with ``fullgraph=True``, as does
    ``torch.export`` with ``strict=True``.

    A copy, deep or not, reports under the name of the original. A pickled one reports, where it is loaded, to the
    telemetry that the process there has by default.

    Args:
        model: The Keras model, on any backend.
        telemetry: Where to report. By default one that joins the process's OpenTelemetry MeterProvider. It is started,
            if it was not, when the first call is made.
        name: The label ``model`` of all series. By default the model's name; of several models of one name that report
            to one telemetry, each but the first then gets a number, in the order in which they came: ``net``,
            ``net_2``. Given here it stands as it is: models of one name report together, as one that is loaded anew
            should.
        get_drift_metrics_func: Called with the inputs and the outputs of each ``predict`` and ``predict_on_batch``;
            returns a :class:`gangplank.Drift`. It runs on a thread of its own, on copies; batches for which there is
            no room are dropped and counted. For a generator, which is spent by then, the inputs are the list of the
            batches that were drawn from it. What it raises is counted, logged once, and kept from who predicts.
        drift: A detector, several, or a mapping of names to detectors: what has an ``update(x, y)`` that returns a
            :class:`gangplank.DriftResult`. They look at the same predictions as the drift function, in the same way;
            their series have a label ``detector``. One detector serves one model. Or a :class:`gangplank.DriftProfile`
            that has detectors, or where the model is saved that has one beside it. Whether a detector's reference is of
            the weights that the model has is a metric.
        drift_inline: Whether these run before ``predict`` returns instead, on what ``predict`` was given.

    Raises:
        TypeError: an argument has the wrong type.
        ConfigurationError: an argument has a value that is not allowed.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - Keras is untyped
        telemetry: Telemetry | None = None,
        *,
        name: str | None = None,
        get_drift_metrics_func: DriftFunction | None = None,
        drift: Detectors | None = None,
        drift_inline: bool = False,
    ) -> None:
        check_arguments(model, name, get_drift_metrics_func, drift_inline)
        detectors = named(drift)
        if telemetry is not None and not isinstance(telemetry, Telemetry):
            raise TypeError(f"telemetry must be a gangplank.Telemetry, not {telemetry!r}")
        super().__init__(model)
        telemetry = default_telemetry() if telemetry is None else telemetry
        self._self_name = name
        self._self_inference = Inference(telemetry, name or readings.model_name(model), is_exact=name is not None)
        self._self_drift = (
            None
            if get_drift_metrics_func is None and not detectors
            else DriftWatch(get_drift_metrics_func, detectors, self._self_inference, model, inline=drift_inline)
        )
        self._self_measure()

    if TYPE_CHECKING:
        # The model's attributes, of which a type checker cannot know.
        def __getattr__(self, name: str) -> Any: ...  # noqa: ANN401

    predict = _Measured()
    predict_on_batch = _Measured()
    call = _Measured()
    stateless_call = _Measured()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Call the model."""
        return self._self_call(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401 - the model's
        """Set an attribute of the model. What replaces a method is measured in its place."""
        if name in _METHODS:
            self._self_forget(name)
            setattr(self.__wrapped__, name, value)
        else:
            super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        """Delete an attribute of the model."""
        if name in _METHODS:
            self._self_forget(name)
            delattr(self.__wrapped__, name)
        else:
            super().__delattr__(name)

    @property
    def model(self) -> Any:  # noqa: ANN401
        """The Keras model itself."""
        return self.__wrapped__

    @property
    def telemetry(self) -> Telemetry:
        """Where it reports."""
        return self._self_inference.telemetry

    def __copy__(self) -> Self:
        """Return the same proxy of a copy of the model."""
        return self._self_twin(copy.copy(self.__wrapped__))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the same proxy of a deep copy of the model."""
        return self._self_twin(copy.deepcopy(self.__wrapped__, memo))

    def __reduce_ex__(self, protocol: Any) -> Any:  # noqa: ANN401
        """Return how to make the proxy again, where it will report to what the process there has."""
        drift = self._self_drift
        settings = {
            "name": self._self_name,
            "get_drift_metrics_func": None if drift is None else drift.function,
            "drift": None if drift is None else drift.detectors,
            "drift_inline": drift is not None and drift.inline,
        }
        return _made_again, (type(self), self.__wrapped__, settings)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.__wrapped__!r}>"

    def _self_twin(self, model: Any) -> Self:  # noqa: ANN401
        twin = type(self).__new__(type(self))
        wrapt.ObjectProxy.__init__(twin, model)
        for own in ("_self_name", "_self_inference", "_self_drift"):
            setattr(twin, own, getattr(self, own))
        twin._self_measure()  # noqa: SLF001 - of this class
        return twin

    def _self_measure(self) -> None:
        proxied.note(self.__wrapped__, self._self_inference)
        self._self_call = self._self_measured("__call__", self.__wrapped__)
        getattr(self, "predict", None)

    def _self_forget(self, name: str) -> None:
        with contextlib.suppress(AttributeError):  # it was not used yet
            wrapt.ObjectProxy.__delattr__(self, name)

    def _self_method(self, name: str) -> Callable[..., Any]:
        method = getattr(self.__wrapped__, name)  # says, in the model's own words, that it has none
        measured = functools.update_wrapper(self._self_measured(name, method), method)
        if self._self_drift is not None and name in _PREDICTIONS:
            measured = self._self_drift.watched(measured)
        return measured

    def _self_measured(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        return self._self_inference.measured(
            method,
            name,
            is_call=name not in _PREDICTIONS,
            sizes=_SIZES.get(name, batches.CALLS),
            is_trace=batches.is_trace,
            is_tracing=batches.is_tracing,
        )


def _made_again(kind: type[TelemetryModel], model: Any, settings: dict[str, Any]) -> TelemetryModel:  # noqa: ANN401
    return kind(model, **settings)


def check_arguments(model: Any, name: Any, get_drift_metrics_func: Any, drift_inline: Any) -> None:  # noqa: ANN401
    """Check what all proxies take.

    Raises:
        TypeError: an argument has the wrong type.
        ConfigurationError: an argument has a value that is not allowed.
    """
    if isinstance(model, type) or not (callable(model) or hasattr(model, "predict")):
        raise TypeError(f"model must be a Keras model, not {model!r}")
    if name is not None:
        checks.text("name", name)
    if get_drift_metrics_func is not None:
        checks.function("get_drift_metrics_func", get_drift_metrics_func)
    checks.flag("drift_inline", drift_inline)

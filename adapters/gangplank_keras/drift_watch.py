"""Has a drift function look at what a model predicts."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any, TypeVar, cast

from gangplank.drift.monitor import DriftFunction, Monitor
from gangplank.drift_series import DriftSeries
from gangplank.inference import TRACED, Inference
from gangplank_keras.batches import SIZES
from gangplank_keras.drift_inputs import kept, recorded

_F = TypeVar("_F", bound=Callable[..., Any])


class DriftWatch:
    """One drift function on one model.

    Args:
        function: The drift function.
        inference: Of which model.
        inline: Whether those who predict wait for it.
    """

    def __init__(self, function: DriftFunction, inference: Inference, *, inline: bool) -> None:
        self.function = function
        self.inline = inline
        self._report = DriftSeries(inference.telemetry, inference.model)
        self._monitor = Monitor(function, self._report)
        self._contained = inference.telemetry.trouble.contained
        # Weak, since a telemetry outlives models.
        drain = weakref.WeakMethod(self._monitor.drain)
        take_back = inference.telemetry.on_delivery(functools.partial(_call, drain))
        weakref.finalize(self, take_back).atexit = False

    def watched(self, predict: _F) -> _F:
        """Return ``predict`` with what it predicts given to the drift function."""

        @functools.wraps(predict)
        def watched(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            recording, args, kwargs = recorded(args, kwargs)
            y = predict(*args, **kwargs)
            with self._contained("hand a batch to the drift function"):
                x = args[0] if args else kwargs.get("x")
                if recording is None:
                    self._look(x, y, 0)
                elif (drawn := recording.batches()) is not None:
                    self._look(*((drawn[0], y, drawn[1])))
                else:
                    self._report.dropped(_samples(y))
            return y

        return cast("_F", watched)

    def _look(self, x: Any, y: Any, drawn: int) -> None:  # noqa: ANN401
        samples = _samples(y)
        if samples == TRACED:
            return
        if self.inline:
            self._monitor.run(x, y, samples)
            return
        # What was drawn from a generator is a copy already.
        x, size = (x, drawn) if drawn else kept(x)
        y, more = kept(y)
        self._monitor.submit(x, y, samples, size + more)


def _samples(y: Any) -> int:  # noqa: ANN401
    try:
        return SIZES[type(y)](y) or 0
    except TypeError:
        return 0


def _call(method: weakref.WeakMethod[Any], timeout: float) -> None:
    drain = method()
    if drain is not None:
        drain(timeout)

"""Has a drift function look at what a model predicts."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any, TypeVar, cast

from gangplank.drift.monitor import DriftFunction, Monitor
from gangplank.drift_series import DriftSeries
from gangplank.inference import TRACED, Inference
from gangplank_keras.batches import PREDICTIONS
from gangplank_keras.drift_inputs import Arguments, kept, name_of_inputs, size_of

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
        # What waits when the model is gone is tested all the same, and waited for.
        take_back = inference.telemetry.on_delivery(self._monitor.drain)
        weakref.finalize(self, self._monitor.end, take_back).atexit = False

    def watched(self, predict: _F) -> _F:
        """Return ``predict`` with what it predicts given to the drift function."""
        name = name_of_inputs(predict)

        @functools.wraps(predict)
        def watched(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            arguments = Arguments(name, args, kwargs)
            y = predict(*arguments.args, **arguments.kwargs)
            with self._contained("hand a batch to the drift function"):
                self._look(arguments, y)
            return y

        return cast("_F", watched)

    def _look(self, arguments: Arguments, y: Any) -> None:  # noqa: ANN401
        samples = _samples(y)
        if samples == TRACED:
            return
        if self.inline:
            self._monitor.run(arguments.inputs(), y, samples)
            return
        size = arguments.size()
        if size is None:
            self._report.dropped(samples)
        else:
            self._monitor.submit(samples, size + size_of(y), lambda: (arguments.kept(), kept(y)))


def _samples(y: Any) -> int:  # noqa: ANN401
    try:
        return PREDICTIONS[type(y)](y) or 0
    except TypeError:
        return 0

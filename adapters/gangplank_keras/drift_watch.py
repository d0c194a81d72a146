"""Has detectors, and a drift function, look at what a model predicts."""

from __future__ import annotations

import functools
import logging
import weakref
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from gangplank.drift.classes import ClassDrift
from gangplank.drift.detector import Detector
from gangplank.drift.features import FeatureDrift
from gangplank.drift.mmd import MMDDrift
from gangplank.drift.monitor import DriftFunction, Monitor
from gangplank.drift.panel import Member, Panel
from gangplank.drift.result import Drift, DriftResult
from gangplank.drift_series import DriftSeries
from gangplank.inference import TRACED, Inference
from gangplank.locks import Lock
from gangplank_keras import batches
from gangplank_keras.drift_inputs import Arguments, kept, name_of_inputs, size_of
from gangplank_keras.fingerprints import fingerprint

_F = TypeVar("_F", bound=Callable[..., Any])
_BY_ROWS = (MMDDrift, ClassDrift, FeatureDrift)
"""Detectors that find the same, whatever batches rows come in."""
_logger = logging.getLogger("gangplank.drift")


class DriftWatch:
    """What looks at the predictions of one model.

    Args:
        function: The drift function, if there is one.
        detectors: Detectors by name.
        inference: Of which model.
        model: The model itself.
        inline: Whether those who predict wait for it.
    """

    def __init__(
        self,
        function: DriftFunction | None,
        detectors: Mapping[str, Detector],
        inference: Inference,
        model: Any,  # noqa: ANN401 - Keras is untyped
        *,
        inline: bool,
    ) -> None:
        self.function = function
        self.detectors = detectors
        self.inline = inline
        report = functools.partial(DriftSeries, inference.telemetry, inference.model)
        members = [] if function is None else [Member(function, report())]
        captured = {name: getattr(detector, "fingerprint", None) for name, detector in detectors.items()}
        matching: dict[str, bool] = {}
        with inference.telemetry.trouble.contained("compare a drift reference's weights with the model's"):
            matching = _matching(captured, model, inference.model)
        for name, detector in detectors.items():
            ert = getattr(detector, "ert", None)
            series = report(name, expected_run_time=ert, reference_matches=matching.get(name))
            members.append(Member(_one_at_a_time(detector.update), series))
        subjects = [getattr(detector, "on", None) for detector in detectors.values()]
        self._needs_inputs = function is not None or any(on != "predictions" for on in subjects)
        self._needs_outputs = function is not None or any(on != "inputs" for on in subjects)
        self._panel = Panel(members)
        # What a function makes of a batch may depend on what else is in it.
        by_rows = function is None and all(
            isinstance(detector, _BY_ROWS) and not callable(detector.on) for detector in detectors.values()
        )
        self._monitor = Monitor(self._panel, self._panel, joins=by_rows)
        self._contained = inference.telemetry.trouble.contained
        # What waits when the model is gone is tested all the same, and waited for.
        take_back = inference.telemetry.on_delivery(self._monitor.drain)
        weakref.finalize(self, self._monitor.end, take_back).atexit = False

    def watched(self, predict: _F, *, before: int = 0) -> _F:
        """Return ``predict`` with what it predicts looked at.

        Args:
            predict: The model's method, or a function.
            before: How many arguments there are before the inputs: one, the model itself, of a method of its class.
        """
        name = name_of_inputs(predict, before)

        @functools.wraps(predict)
        def watched(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            arguments = Arguments(name, args[before:], kwargs)
            y = predict(*args[:before], *arguments.args, **arguments.kwargs)
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
        size = arguments.size() if self._needs_inputs else 0
        if size is None:
            self._panel.dropped(samples)
        else:
            size += size_of(y) if self._needs_outputs else 0
            self._monitor.submit(samples, size, functools.partial(self._kept, arguments, y))

    def _kept(self, arguments: Arguments, y: Any) -> tuple[Any, Any]:  # noqa: ANN401
        """Return a copy of what is looked at, and None for the rest."""
        return (
            arguments.kept() if self._needs_inputs else None,
            kept(y) if self._needs_outputs else None,
        )


def _matching(captured: Mapping[str, str | None], model: Any, exported: str) -> dict[str, bool]:  # noqa: ANN401
    """Return which detectors' references are of the weights that the model has, as far as that is known."""
    known = {name: weights for name, weights in captured.items() if weights is not None}
    own = fingerprint(model) if known else None
    if own is None:
        return {}
    for name, weights in known.items():
        if weights != own:
            _logger.warning(
                "the reference of the drift detector %s was captured with other weights (%s) than the model %s has "
                "(%s): it will tell these apart, too; capture a drift profile of this model",
                *(name, weights, exported, own),
            )
    return {name: weights == own for name, weights in known.items()}


def _one_at_a_time(update: DriftFunction) -> DriftFunction:
    """Return a detector's ``update`` for several threads, on which predictions may be looked at inline."""
    lock = Lock()

    def locked(x: Any, y: Any) -> Drift | DriftResult | None:  # noqa: ANN401
        with lock:
            return update(x, y)

    return locked


def _samples(y: Any) -> int:  # noqa: ANN401
    try:
        return batches.PREDICTIONS[type(y)](y) or 0
    except TypeError:
        return 0

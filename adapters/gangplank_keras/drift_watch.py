"""Has detectors, and a drift function, look at what a model predicts."""

from __future__ import annotations

import functools
import re
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

from gangplank import checks
from gangplank.drift.detector import Detector
from gangplank.drift.monitor import DriftFunction, Monitor
from gangplank.drift.panel import Member, Panel
from gangplank.drift.result import Drift, DriftResult
from gangplank.drift_series import DriftSeries
from gangplank.errors import ConfigurationError
from gangplank.inference import TRACED, Inference
from gangplank.locks import Lock
from gangplank_keras.batches import PREDICTIONS
from gangplank_keras.drift_inputs import Arguments, kept, name_of_inputs, size_of

_F = TypeVar("_F", bound=Callable[..., Any])
_MOST = 10
Detectors = Detector | Iterable[Detector] | Mapping[str, Detector]
"""One, several, or several by name."""


class DriftWatch:
    """What looks at the predictions of one model.

    Args:
        function: The drift function, if there is one.
        detectors: Detectors by name.
        inference: Of which model.
        inline: Whether those who predict wait for it.
    """

    def __init__(
        self,
        function: DriftFunction | None,
        detectors: Mapping[str, Detector],
        inference: Inference,
        *,
        inline: bool,
    ) -> None:
        self.function = function
        self.detectors = detectors
        self.inline = inline
        report = functools.partial(DriftSeries, inference.telemetry, inference.model)
        members = [] if function is None else [Member(function, report())]
        for name, detector in detectors.items():
            series = report(name, expected_run_time=getattr(detector, "ert", None))
            members.append(Member(_one_at_a_time(detector.update), series))
        subjects = [getattr(detector, "on", None) for detector in detectors.values()]
        self._needs_inputs = function is not None or any(on != "predictions" for on in subjects)
        self._needs_outputs = function is not None or any(on != "inputs" for on in subjects)
        self._panel = Panel(members)
        self._monitor = Monitor(self._panel, self._panel)
        self._contained = inference.telemetry.trouble.contained
        # What waits when the model is gone is tested all the same, and waited for.
        take_back = inference.telemetry.on_delivery(self._monitor.drain)
        weakref.finalize(self, self._monitor.end, take_back).atexit = False

    def watched(self, predict: _F) -> _F:
        """Return ``predict`` with what it predicts looked at."""
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


def named(detectors: Any) -> dict[str, Detector]:  # noqa: ANN401 - checked here
    """Return detectors by their names: those given, or their own, or else their kind's.

    Raises:
        TypeError: one of them is no detector.
        ConfigurationError: two have one name, or there are too many.
    """
    if detectors is None:
        return {}
    if isinstance(detectors, Mapping):
        given = [(checks.text("the name of a detector", name), detector) for name, detector in detectors.items()]
    else:
        listed = [detectors] if hasattr(detectors, "update") else _listed(detectors)
        given = [(_name(detector), detector) for detector in listed]
    found: dict[str, Detector] = {}
    for name, detector in given:
        if isinstance(detector, type) or not callable(getattr(detector, "update", None)):
            raise TypeError(f"drift must hold detectors, which have a method update(x, y), not {detector!r}")
        if name in found:
            raise ConfigurationError(f"drift holds two detectors called {name!r}: give a mapping of names to detectors")
        found[name] = detector
    if len(found) > _MOST:
        raise ConfigurationError(f"drift must hold {_MOST} detectors at the most, got {len(found)}")
    return found


def _listed(detectors: Any) -> list[Any]:  # noqa: ANN401
    if isinstance(detectors, (str, bytes)) or not isinstance(detectors, Iterable):
        raise TypeError(f"drift must be a detector, or several, not {detectors!r}")
    return list(detectors)


def _name(detector: Any) -> str:  # noqa: ANN401
    """Return what a detector is called: ``mmd_drift`` if it does not say, and is an ``MMDDrift``."""
    own = getattr(detector, "name", None)
    if isinstance(own, str) and own.strip():
        return own
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(detector).__name__).lower()


def _one_at_a_time(update: DriftFunction) -> DriftFunction:
    """Return a detector's ``update`` for several threads, on which predictions may be looked at inline."""
    lock = Lock()

    def locked(x: Any, y: Any) -> Drift | DriftResult | None:  # noqa: ANN401
        with lock:
            return update(x, y)

    return locked


def _samples(y: Any) -> int:  # noqa: ANN401
    try:
        return PREDICTIONS[type(y)](y) or 0
    except TypeError:
        return 0

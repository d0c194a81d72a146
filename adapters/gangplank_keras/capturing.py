"""Captures drift profiles: what a model predicts of data that it was not trained on."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from gangplank import checks
from gangplank.drift.defaults import default_detectors
from gangplank.drift.naming import Detectors, named
from gangplank.drift.profile import DriftProfile, State
from gangplank.drift.states import Calibrated
from gangplank_keras import proxied, ranks
from gangplank_keras.callback import default_telemetry
from gangplank_keras.fingerprints import fingerprint
from gangplank_keras.model import TelemetryModel
from gangplank_keras.readings import Logs

MOST_SAMPLES = 10_000
"""More tell hardly more: a window's own chance is far larger."""
MakeDetectors = Callable[[DriftProfile], Detectors]

_logger = logging.getLogger("gangplank.drift")


def drift_profile(
    model: Any,  # noqa: ANN401 - Keras is untyped
    x: Any,  # noqa: ANN401 - whatever predict takes
    *,
    inputs: bool = False,
    detectors: MakeDetectors | None = default_detectors,
    max_samples: int = MOST_SAMPLES,
) -> DriftProfile:
    """Capture what a model predicts of data from when all was well, as the reference of drift detectors.

    Save it beside the model by its ``save(path)``; ``PrometheusModel(model, drift=path)`` then has the detectors.

    Args:
        model: The Keras model, or a proxy of it. What it predicts here is not measured.
        x: Data that it was not trained on: whatever ``predict`` takes. Of more than ``max_samples``, some are chosen.
        inputs: Whether to keep the inputs too, for detectors that look at them. They are then in the profile's file.
        detectors: Takes the profile and returns the detectors that are to look for drift, made with it as their
            reference; their calibration is kept in the profile. By default an :class:`MMDDrift`, and a
            :class:`ClassDrift` if the model predicts probabilities of classes, with a false alarm every 5,000
            predictions each. None for no detectors.
        max_samples: How many predictions to keep, at the most.

    Raises:
        TypeError: an argument has the wrong type, or the model predicts something other than one array.
        ConfigurationError: an argument has a value that is not allowed, or there are too few samples for a detector.
    """
    checks.flag("inputs", inputs)
    checks.count("max_samples", max_samples)
    if detectors is not None:
        checks.function("detectors", detectors)
    if isinstance(model, TelemetryModel):
        model = model.model
    chosen = _chosen(x, max_samples)
    if inputs and not hasattr(chosen, "shape"):
        raise TypeError(f"x must be one array for its inputs to be kept, not {type(x).__name__}")
    with proxied.unmeasured():
        predicted = model.predict(chosen, verbose=0)
    if not hasattr(predicted, "shape"):
        raise TypeError(f"the model must predict one array for a drift profile, not a {type(predicted).__name__}")
    profile = DriftProfile(
        predictions=_single(_chosen(predicted, max_samples)),
        inputs=_single(chosen) if inputs else None,
        fingerprint=fingerprint(model),
    )
    if detectors is None:
        return profile
    return DriftProfile(
        predictions=profile.predictions,
        inputs=profile.inputs,
        fingerprint=profile.fingerprint,
        detectors={name: _state(name, detector) for name, detector in named(detectors(profile)).items()},
    )


class DriftProfileCallback(keras.callbacks.Callback):
    """Captures a drift profile when ``fit`` ends, and saves it beside the model. See :func:`drift_profile`.

    If the model's file was written in the meantime, as ``ModelCheckpoint`` does, it is of the model in that file: the
    best one, say. Otherwise it is of the model as it is when training ends, to be saved then: have this be the last
    callback, behind those that restore weights. What goes wrong is logged, and training is not disturbed. Of several
    processes that train one model, the first captures; none does where weights are spread over them.

    Args:
        path: Where the model is saved, such as ``"models/mnist.keras"``.
        x: Data that it is not trained on, such as the validation data: whatever ``predict`` takes.
        inputs: Whether to keep the inputs too.
        detectors: Takes the profile and returns detectors.
        max_samples: How many predictions to keep, at the most.

    Raises:
        TypeError: an argument has the wrong type.
        ConfigurationError: an argument has a value that is not allowed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        x: Any,  # noqa: ANN401 - whatever predict takes
        *,
        inputs: bool = False,
        detectors: MakeDetectors | None = default_detectors,
        max_samples: int = MOST_SAMPLES,
    ) -> None:
        super().__init__()
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"path must be a path, not {path!r}")
        self._path = Path(path)
        self._x = x
        self._settings: dict[str, Any] = {
            "inputs": checks.flag("inputs", inputs),
            "detectors": detectors if detectors is None else checks.function("detectors", detectors),
            "max_samples": checks.count("max_samples", max_samples),
        }
        self._before: tuple[int, int] | None = None

    def on_train_begin(self, logs: Logs = None) -> None:  # noqa: ARG002 - Keras's signature
        """Note which file is there."""
        self._before = _version(self._path)

    def on_train_end(self, logs: Logs = None) -> None:  # noqa: ARG002
        """Capture the profile."""
        if ranks.rank():
            return
        if ranks.rank() is not None and keras.distribution.distribution() is not None:
            _logger.warning("no drift profile is captured: to predict takes all of the processes that train this model")
            return
        with default_telemetry().trouble.contained("capture a drift profile"):
            profile = drift_profile(self._saved(), self._x, **self._settings)
            _logger.info("drift profile of %d predictions: %s", len(profile.predictions), profile.save(self._path))

    def _saved(self) -> Any:  # noqa: ANN401
        """Return the model that was saved while this one was trained, or else this one."""
        if _version(self._path) in (None, self._before):
            return self.model
        try:
            return keras.saving.load_model(self._path, compile=False)
        except Exception as error:  # noqa: BLE001 - weights alone, or layers that Keras does not know how to make
            _logger.warning(
                "the drift profile is of the model at the end, for %s cannot be loaded: %s", self._path, error
            )
            return self.model


def _version(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is written; None if there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def _chosen(x: Any, most: int) -> Any:  # noqa: ANN401
    """Return at most so many samples of arrays, in their order; what is none, such as a data set, as it is."""
    leaves = keras.tree.flatten(x)
    sizes = {leaf.shape[0] if getattr(leaf, "shape", ()) else None for leaf in leaves}
    size = sizes.pop() if len(sizes) == 1 else None
    if size is None or size <= most:
        return x
    kept = np.sort(np.random.default_rng(0).choice(size, most, replace=False))

    def thinned(leaf: Any) -> npt.NDArray[Any]:  # noqa: ANN401
        return np.asarray(np.asarray(leaf)[kept])

    return keras.tree.map_structure(thinned, x)


def _single(values: Any) -> npt.NDArray[Any]:  # noqa: ANN401
    """Return an array with floating-point numbers in single precision, as models compute."""
    array = np.asarray(values)
    return array if array.dtype.kind in "iub" else array.astype(np.float32)


def _state(name: str, detector: Any) -> State:  # noqa: ANN401
    """Return a detector's state.

    Raises:
        TypeError: it is a detector that has none, or none of Gangplank's.
    """
    if not isinstance(detector, Calibrated):
        raise TypeError(f"detectors must return Gangplank's own, whose state can be kept, not {detector!r}")
    return {**detector.state(), "name": name}

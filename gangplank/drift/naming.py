"""Detectors by their names, however they were given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

from gangplank import checks
from gangplank.drift.detector import Detector
from gangplank.drift.profile import DriftProfile
from gangplank.drift.restoring import restored
from gangplank.errors import ConfigurationError

_MOST = 10
Detectors = Detector | Iterable[Detector] | Mapping[str, Detector] | DriftProfile | str | PathLike[str]
"""One, several, several by name, or those of a profile, which may lie beside a model's file."""


def named(detectors: Any) -> dict[str, Detector]:  # noqa: ANN401 - checked here
    """Return detectors by their names: those given, or their own, or else their kind's; or those of a profile.

    Raises:
        TypeError: one of them is no detector.
        ConfigurationError: two have one name, or there are too many; there is no such profile, or it has none.
    """
    if detectors is None:
        return {}
    if isinstance(detectors, (str, PathLike, DriftProfile)):
        return _of_profile(detectors)
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


def _of_profile(given: str | PathLike[str] | DriftProfile) -> dict[str, Detector]:
    """Return the detectors of a profile, or of the one beside the model that is saved at a path."""
    if isinstance(given, DriftProfile):
        profile = given
    else:
        try:
            profile = DriftProfile.load(given)
        except OSError as error:
            raise ConfigurationError(
                f"drift must be where a model is saved that has a drift profile beside it, got {given!r}: {error}"
            ) from error
    if not profile.detectors:
        raise ConfigurationError(f"drift must be a profile with detectors, got one without, {given!r}")
    return {name: restored(state) for name, state in profile.detectors.items()}


def _listed(detectors: Any) -> list[Any]:  # noqa: ANN401
    if isinstance(detectors, bytes) or not isinstance(detectors, Iterable):
        raise TypeError(f"drift must be a detector, or several, not {detectors!r}")
    return list(detectors)


def _name(detector: Any) -> str:  # noqa: ANN401
    """Return what a detector is called: ``mmd_drift`` if it does not say, and is an ``MMDDrift``."""
    own = getattr(detector, "name", None)
    if isinstance(own, str) and own.strip():
        return own
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(detector).__name__).lower()

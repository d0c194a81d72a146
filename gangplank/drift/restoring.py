"""From the state of a detector back to the detector, whatever its kind."""

from __future__ import annotations

from typing import Final

from gangplank.drift.classes import ClassDrift
from gangplank.drift.features import FeatureDrift
from gangplank.drift.mmd import MMDDrift
from gangplank.drift.profile import State
from gangplank.drift.states import Calibrated
from gangplank.errors import ConfigurationError

_KINDS: Final[dict[str, type[Calibrated]]] = {kind.kind: kind for kind in (MMDDrift, ClassDrift, FeatureDrift)}


def restored(state: State) -> Calibrated:
    """Return the detector that had this state.

    Raises:
        ConfigurationError: it is none of Gangplank's, or looks at what a function returns.
    """
    kind = state.get("kind")
    if kind not in _KINDS:
        raise ConfigurationError(f"a detector's kind must be one of {', '.join(map(repr, _KINDS))}, got {kind!r}")
    return _KINDS[kind].from_state(state)

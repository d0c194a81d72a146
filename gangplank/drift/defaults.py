"""The detectors that a profile is given if nobody says which."""

from __future__ import annotations

import logging

import numpy as np

from gangplank.drift.classes import ClassDrift
from gangplank.drift.mmd import MMDDrift
from gangplank.drift.profile import DriftProfile
from gangplank.drift.rows import Rows, finite
from gangplank.drift.simulation import FEWEST_WINDOWS, WINDOWS_ADVISED
from gangplank.drift.states import Calibrated
from gangplank.errors import ConfigurationError

EXPECTED_RUN_TIME = 5_000
"""Observations between false alarms of either detector."""
_ROWS_WINDOWS = 25, 100
_CLASSES_WINDOWS = 100, 1000
_WIDEST = 64
_MOST_CLASSES = 100
_SUM_TO_ONE = 1e-3

_log = logging.getLogger("gangplank.drift")


def default_detectors(profile: DriftProfile) -> list[Calibrated]:
    """Return detectors of drift in a model's predictions: of any, and of the classes that it chooses, if it does.

    Windows are as long as the profile allows, up to 100 predictions, and 1,000 for classes.

    Raises:
        TypeError: the predictions are no numbers.
        ConfigurationError: the profile is too small, or all its predictions are the same.
    """
    rows = Rows(profile).reference
    window = _window(len(rows), *_ROWS_WINDOWS)
    if window is None:
        least = _ROWS_WINDOWS[0] * FEWEST_WINDOWS
        raise ConfigurationError(f"a profile must hold at least {least} predictions for a detector, got {len(rows)}")
    project = _WIDEST if rows.shape[1] > _WIDEST else None
    detectors: list[Calibrated] = [MMDDrift(profile, ert=EXPECTED_RUN_TIME, window=window, project=project)]
    of_classes = _window(len(rows), *_CLASSES_WINDOWS)
    if of_classes is not None and _are_probabilities(profile):
        try:
            detectors.append(ClassDrift(profile, ert=EXPECTED_RUN_TIME, window=of_classes))
        except ConfigurationError as error:  # so many classes that none is common
            _log.info("no detector of the mix of classes: %s", error)
    return detectors


def _window(rows: int, shortest: int, longest: int) -> int | None:
    if rows < shortest * FEWEST_WINDOWS:
        return None
    return min(longest, max(shortest, rows // WINDOWS_ADVISED))


def _are_probabilities(profile: DriftProfile) -> bool:
    """Whether each prediction is one probability for each of several classes."""
    predictions = profile.predictions
    if predictions.ndim != 2 or not 1 < predictions.shape[1] <= _MOST_CLASSES:  # noqa: PLR2004 - rows and columns
        return False
    rows, _ = finite(predictions)
    return bool((rows >= 0).all() and (np.abs(rows.sum(axis=1) - 1) < _SUM_TO_ONE).all())

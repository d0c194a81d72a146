"""The settings of MMDDrift: what is allowed, what is refused, and what becomes of a large or a small reference."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from gangplank.drift.mmd import MMDDrift
from gangplank.errors import ConfigurationError


def detector(rows: int, **options: Any) -> MMDDrift:
    """Return a small detector."""
    reference = np.random.default_rng(0).normal(size=(rows, 2))
    return MMDDrift(reference, **{"ert": 100, "window": 25, "seed": 0, **options})


def test_a_reference_that_is_too_small_is_refused_or_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    """With the numbers; once a construction."""
    with pytest.raises(ConfigurationError, match="reference must be at least 8 windows of 25, 200 rows, got 199 rows"):
        detector(199)
    with pytest.raises(ConfigurationError, match="max_reference must be at least 8 windows of 25, 200 rows, got 199"):
        detector(1000, max_reference=199)
    with pytest.raises(ConfigurationError, match=r"max_reference must be at least 8 windows .* got 207"):
        detector(1000, max_reference=207, window=26, calibration="blocks")
    with caplog.at_level(logging.WARNING, "gangplank.drift"):
        detector(500)
        assert not caplog.messages
        detector(499)
    (said,) = caplog.messages
    assert "A reference of 499 rows is small for a window of 25" in said
    assert "From 500 rows" in said


def test_no_more_of_the_reference_is_kept_than_asked() -> None:
    """Nor the whole of it besides."""
    found = detector(1000, max_reference=600)
    assert found._reference.points.shape == (600, 2)
    assert not hasattr(found._rows, "reference")


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"ert": 10}, ConfigurationError, "ert must be at least the window, 25, got 10"),
        ({"window": 1}, ConfigurationError, "window must be at least 2"),
        ({"stride": 26}, ConfigurationError, "stride must be at most the window, 25, got 26"),
        ({"bandwidth": 0}, ConfigurationError, "bandwidth must be 'median' or a number above 0, got 0"),
        ({"bandwidth": float("nan")}, ConfigurationError, "bandwidth must be 'median' or a number above 0, got nan"),
        ({"bandwidth": "mean"}, TypeError, "bandwidth must be 'median' or a number, not 'mean'"),
        ({"max_reference": 0}, ConfigurationError, "max_reference must be at least 1"),
        ({"n_streams": 10}, ConfigurationError, "n_streams must be at least 20 for an ert of 100, got 10"),
        ({"calibration": "bootstrap"}, ConfigurationError, "calibration must be 'iid' or 'blocks', got 'bootstrap'"),
        ({"project": 3}, ConfigurationError, "project must be at most the rows' width, 2, got 3"),
        ({"project": 1.5}, TypeError, "project must be a whole number"),
        ({"on": "outputs"}, TypeError, "on must be"),
        ({"seed": -1}, ConfigurationError, "seed must be at least 0"),
        ({"name": ""}, ConfigurationError, "name must not be empty"),
    ],
)
def test_settings_that_are_not_allowed_are_refused(options: dict[str, Any], error: type[Exception], said: str) -> None:
    """Before anything is computed; the message says what is allowed."""
    with pytest.raises(error, match=said):
        detector(1000, **options)


def test_without_a_seed_each_is_calibrated_by_chance() -> None:
    """So that replicas do not all err alike."""
    assert detector(500, seed=None).threshold != detector(500, seed=None).threshold

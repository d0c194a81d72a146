"""What is said of a run."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gangplank.history.condition import Progress, duration, of_training, seconds_left

NOW = 1_700_000_000.0


def state(**known: Any) -> tuple[str, str]:
    """Return the state of a run that began 1,000 seconds ago."""
    return of_training(Progress(**{"now": NOW, "begun": NOW - 1000, "outcome": None, "is_running": True, **known}))


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"last_step": NOW - 1}, ("running", "Running")),
        ({"begun": NOW - 10}, ("running", "Running: no step yet")),
        ({}, ("stalled", "Stalled: no step for 16 min 40 s")),
        ({"last_step": NOW - 61}, ("stalled", "Stalled: no step for 1 min 1 s")),
        ({"last_step": NOW - 61, "epoch_seconds": 30.0}, ("running", "Running")),  # validation, say
        ({"last_step": NOW - 61, "step_seconds": 10.0}, ("running", "Running")),
        ({"last_step": NOW, "loss": math.nan}, ("diverging", "Running, but the loss is NaN")),
        ({"outcome": "success", "is_running": False}, ("done", "Done")),
        ({"outcome": "failed", "is_running": False}, ("failed", "Failed: an exception ended it")),
        ({"outcome": "interrupted", "is_running": False}, ("interrupted", "Interrupted before it was done")),
        (
            {"outcome": "diverged", "is_running": False, "loss": math.inf},
            ("diverged", "Diverged: the loss is infinite"),
        ),
        ({"outcome": "diverged", "is_running": False, "loss": 1.0}, ("diverged", "Diverged")),
        ({"is_running": False}, ("unknown", "Not running here")),
    ],
)
def test_states_in_words(known: dict[str, Any], said: tuple[str, str]) -> None:
    """A word for the page's colour, and a sentence for who reads it."""
    assert state(**known) == said


@pytest.mark.parametrize(
    ("done", "now", "left"),
    [
        ([], 0, None),
        ([(40, 1)], 40, 360),  # the first epoch is all that is known
        ([(40, 1), (50, 2)], 50, 80),  # and is left out as soon as there is another
        ([(40, 1), (50, 2)], 55, 75),
        ([(40, 1), (50, 2)], 500, 0),
        ([(float(10 * n), n) for n in range(1, 10)], 90, 10),
    ],
)
def test_time_left(done: list[tuple[float, float]], now: float, left: float | None) -> None:
    """Of ten epochs, by the last ones."""
    assert seconds_left(10, done, 40, now) == left


def test_time_left_of_what_was_not_seen() -> None:
    """Fifty epochs were done before anybody looked: what one takes, the run says itself."""
    assert seconds_left(100, [(5000, 50)], 100, 5000) == 5000
    assert seconds_left(100, [(5000, 50)], None, 5000) is None


def test_durations_in_words() -> None:
    """With no more digits than matter."""
    assert [duration(one) for one in (0.4, 59, 60, 61, 3600, 3660, 90061)] == [
        "0 s",
        "59 s",
        "1 min",
        "1 min 1 s",
        "1 h",
        "1 h 1 min",
        "25 h 1 min",
    ]

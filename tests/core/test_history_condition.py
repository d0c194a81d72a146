"""What is said of a run."""

from __future__ import annotations

from typing import Any

import pytest

from gangplank.history.condition import Progress, ended, of_training, seconds_left

NOW = 1_700_000_000.0


def state(**known: Any) -> tuple[str, str]:
    """Return the state of a run that began 1,000 seconds ago."""
    condition = of_training(Progress(**{"now": NOW, "begun": NOW - 1000, "outcome": None, "is_running": True, **known}))
    return condition.word, condition.sentence


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"last_step": NOW - 1}, ("running", "Running")),
        ({"begun": NOW - 10}, ("running", "Running: no step yet")),
        ({}, ("stalled", "Stalled: no step for 16m 40s")),
        ({"last_step": NOW - 61}, ("stalled", "Stalled: no step for 1m 01s")),
        ({"last_step": NOW - 61, "delay": 60.0}, ("running", "Running")),
        ({"last_step": NOW - 61, "epoch_seconds": 30.0}, ("running", "Running")),  # validation, say
        ({"last_step": NOW - 61, "step_seconds": 10.0}, ("running", "Running")),
        ({"last_step": NOW, "bad_loss": "NaN"}, ("diverging", "Diverging: its loss is NaN")),
        ({"outcome": "success", "is_running": False}, ("done", "Done")),
        ({"outcome": "failed", "is_running": False}, ("failed", "Failed: an exception ended it")),
        ({"outcome": "interrupted", "is_running": False}, ("interrupted", "Interrupted: before it was done")),
        (
            {"outcome": "diverged", "is_running": False, "bad_loss": "infinite"},
            ("diverged", "Diverged: its loss is infinite"),
        ),
        ({"outcome": "diverged", "is_running": False}, ("diverged", "Diverged")),
        ({"is_running": False}, ("ended", "Ended: how is not known")),
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


def test_an_outcome_that_is_not_known_is_said_as_it_is() -> None:
    """A version to come may have others."""
    assert ended("paused").sentence == "Paused"

"""How a run or a model is doing, in a word and in a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gangplank.metrics import Outcome

_FIRST_STEP_WITHIN = 300.0
"""Seconds that a first step may take, in which a compiler may be at work."""
_STEP_WITHIN = 60.0
_EPOCHS_WITHOUT_STEP, _STEPS_WITHOUT_STEP = 3, 20
"""How many epochs' or steps' time may pass without a step, in which there is validation, say."""
_RECENT = 5
"""Epochs by which the time left is estimated."""

_ENDINGS = {
    Outcome.SUCCESS.value: ("done", "Done"),
    Outcome.FAILED.value: ("failed", "Failed: an exception ended it"),
    Outcome.INTERRUPTED.value: ("interrupted", "Interrupted before it was done"),
    Outcome.DIVERGED.value: ("diverged", "Diverged"),
}
_MINUTE, _HOUR = 60, 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is known of a training run.

    Attributes:
        now: Unix time.
        begun: Unix time at which it began.
        outcome: How it ended, if it has.
        is_running: Whether it is on.
        loss: The last loss; NaN and infinities as they are.
        last_step: Unix time at which the last step or epoch was reported, if one was.
        step_seconds: Time that a step took lately.
        epoch_seconds: Time that the last epoch took.
    """

    now: float
    begun: float
    outcome: str | None
    is_running: bool
    loss: float | None = None
    last_step: float | None = None
    step_seconds: float | None = None
    epoch_seconds: float | None = None


def of_training(progress: Progress) -> tuple[str, str]:
    """Return the state of a training run: a word, and what to say of it."""
    bad_loss = progress.loss is not None and not math.isfinite(progress.loss)
    about_loss = f"the loss is {name_of(progress.loss)}" if bad_loss and progress.loss is not None else ""
    if progress.outcome is not None:
        word, said = _ENDINGS.get(progress.outcome, (progress.outcome, progress.outcome))
        return word, f"{said}: {about_loss}" if word == "diverged" and about_loss else said
    if not progress.is_running:
        return "unknown", "Not running here"
    if bad_loss:
        return "diverging", f"Running, but {about_loss}"
    silence = progress.now - (progress.begun if progress.last_step is None else progress.last_step)
    if silence > _patience(progress):
        return "stalled", f"Stalled: no step for {duration(silence)}"
    return "running", "Running" if progress.last_step is not None else "Running: no step yet"


def _patience(progress: Progress) -> float:
    if progress.last_step is None:
        return _FIRST_STEP_WITHIN
    return max(
        _STEP_WITHIN,
        _EPOCHS_WITHOUT_STEP * (progress.epoch_seconds or 0.0),
        _STEPS_WITHOUT_STEP * (progress.step_seconds or 0.0),
    )


def seconds_left(
    planned: float, epochs: Sequence[tuple[float, float]], epoch_seconds: float | None, now: float
) -> float | None:
    """Return the seconds until all planned epochs are done, by the last few, or None before there is one.

    Args:
        planned: How many epochs are planned.
        epochs: Unix times, and how many epochs were done then.
        epoch_seconds: Time that the last epoch took.
        now: Unix time.
    """
    if not epochs:
        return None
    last, done = epochs[-1]
    if len(epochs) > 1:  # without the first epoch, in which there is much to compile
        earlier, before = epochs[-min(_RECENT + 1, len(epochs))]
        seconds = (last - earlier) / max(done - before, 1)
    elif epoch_seconds is None:
        return None
    else:
        seconds = epoch_seconds
    return max((planned - done) * seconds - (now - last), 0.0)


def name_of(value: float) -> str:
    """Return what a number that is not finite is called."""
    return "NaN" if math.isnan(value) else "infinite" if value > 0 else "minus infinite"


def duration(seconds: float) -> str:
    """Return a number of seconds in words."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s" if whole % _MINUTE else f"{whole // _MINUTE} min"
    hours, minutes = whole // _HOUR, whole % _HOUR // _MINUTE
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"

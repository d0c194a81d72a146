"""How a run is doing, in a word and in a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gangplank.metrics import Outcome
from gangplank.words import duration

_FIRST_STEP_WITHIN = 300.0
"""Seconds that a first step may take, in which a compiler may be at work."""
_STEP_WITHIN = 60.0
_EPOCHS_WITHOUT_STEP, _STEPS_WITHOUT_STEP = 3, 20
"""How many epochs' or steps' time may pass without a step, in which there is validation, say."""
_RECENT = 5
"""Epochs by which the time left is estimated."""

_ENDINGS = {
    Outcome.SUCCESS.value: ("done", ""),
    Outcome.FAILED.value: ("failed", "an exception ended it"),
    Outcome.INTERRUPTED.value: ("interrupted", "before it was done"),
    Outcome.DIVERGED.value: ("diverged", ""),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """How a run is doing.

    Attributes:
        word: running, diverging, stalled, done, failed, interrupted, diverged, or ended if that is all that is known.
        detail: More on it, or empty.
    """

    word: str
    detail: str = ""

    @property
    def sentence(self) -> str:
        """All of it."""
        return f"{self.word.capitalize()}: {self.detail}" if self.detail else self.word.capitalize()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is known of a training run.

    Attributes:
        now: Unix time.
        begun: Unix time at which it began.
        outcome: How it ended, if it has.
        is_running: Whether it is on.
        bad_loss: What the last loss is called that is not finite; None if it is.
        last_step: Unix time at which the last step or epoch was reported, if one was.
        step_seconds: Time that a step took lately.
        epoch_seconds: Time that the last epoch took.
        delay: Seconds that it may take until a step is heard of: at a Pushgateway there is a push between them.
    """

    now: float
    begun: float
    outcome: str | None
    is_running: bool
    bad_loss: str | None = None
    last_step: float | None = None
    step_seconds: float | None = None
    epoch_seconds: float | None = None
    delay: float = 0.0


def of_training(progress: Progress) -> Condition:
    """Return how a training run is doing."""
    if progress.outcome is not None:
        return ended(progress.outcome, progress.bad_loss)
    if not progress.is_running:
        return Condition("ended", "how is not known")
    if progress.bad_loss is not None:
        return Condition("diverging", f"its loss is {progress.bad_loss}")
    silence = progress.now - (progress.begun if progress.last_step is None else progress.last_step)
    if silence > _patience(progress):
        return Condition("stalled", f"no step for {duration(silence)}")
    return Condition("running", "" if progress.last_step is not None else "no step yet")


def ended(outcome: str, bad_loss: str | None = None) -> Condition:
    """Return how a run ended.

    Args:
        outcome: The outcome that it reports.
        bad_loss: What the last loss is called, as above.
    """
    word, detail = _ENDINGS.get(outcome, (outcome, ""))
    is_about_loss = word == "diverged" and bad_loss is not None
    return Condition(word, f"its loss is {bad_loss}" if is_about_loss else detail)


def not_finite(value: float | None) -> str | None:
    """Return what a number is called that is not finite, or None."""
    if value is None or math.isfinite(value):
        return None
    return "NaN" if math.isnan(value) else "infinite" if value > 0 else "minus infinite"


def _patience(progress: Progress) -> float:
    if progress.last_step is None:
        return _FIRST_STEP_WITHIN
    return progress.delay + max(
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

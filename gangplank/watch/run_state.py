"""How a run is doing, in a word."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from gangplank.catalogue import metric
from gangplank.metrics import Outcome, Phase
from gangplank.watch.history import Subject
from gangplank.watch.words import duration

STALLED_AFTER = 120.0
"""Seconds without a step after which a run is taken to have stalled, if its steps and epochs do not take long.

A Pushgateway is told of steps some seconds after they were taken.
"""

_STEPS_TO_STALL, _EPOCHS_TO_STALL = 20, 3
_RUNNING = metric(Phase.TRAIN, "running").prometheus_name
_LAST_STEP = metric(Phase.TRAIN, "last_step_timestamp").prometheus_name
_STEP = metric(Phase.TRAIN, "step_duration").prometheus_name
_EPOCH = metric(Phase.TRAIN, "epoch_duration").prometheus_name
_OUTCOMES = {
    Outcome.SUCCESS: "done",
    Outcome.FAILED: "failed",
    Outcome.INTERRUPTED: "interrupted",
    Outcome.DIVERGED: "diverged",
}


class Tone(Enum):
    """How something is to be looked at."""

    PLAIN = "plain"
    GOOD = "good"
    POOR = "poor"
    BAD = "bad"


_TONES = {"running": Tone.GOOD, "done": Tone.GOOD, "interrupted": Tone.POOR, "failed": Tone.BAD, "diverged": Tone.BAD}


@dataclass(frozen=True, slots=True)
class RunState:
    """How a run is doing.

    Attributes:
        word: running, diverging, stalled, done, failed, interrupted, diverged, or ended if that is all that is known.
        detail: More on it, or empty.
        tone: How it is to be looked at.
    """

    word: str
    detail: str = ""
    tone: Tone = Tone.PLAIN


def run_state(subject: Subject, phase: Phase, now: float) -> RunState | None:
    """Return how the last run of a phase is doing; None if there was none.

    Args:
        subject: The model.
        phase: Training or evaluation.
        now: Unix time of the last reading.
    """
    name = metric(phase, "outcome").prometheus_name
    outcomes = {outcome: subject.value(name, outcome=outcome.value) for outcome in Outcome}
    ended = next((word for outcome, word in _OUTCOMES.items() if outcomes[outcome] == 1), None)
    running = subject.value(_RUNNING) if phase is Phase.TRAIN else None
    if running == 1 or (phase is Phase.TEST and ended is None and any(value == 0 for value in outcomes.values())):
        return _running(subject, phase, now)
    if ended is not None:
        return RunState(ended, tone=_TONES[ended])
    return None if running is None else RunState("ended", "how is not known")


def _running(subject: Subject, phase: Phase, now: float) -> RunState:
    idle = _idle(subject, now) if phase is Phase.TRAIN else 0.0
    if idle > _patience(subject):
        return RunState("stalled", f"no step for {duration(idle)}", Tone.BAD)
    nonfinite = subject.value(metric(phase, "nonfinite").prometheus_name, metric="loss")
    if nonfinite and subject.value(f"gangplank_{phase.value}_loss") is None:
        return RunState("diverging", "its loss is NaN or infinite", Tone.BAD)
    return RunState("running", tone=Tone.GOOD)


def _idle(subject: Subject, now: float) -> float:
    """Return for how many seconds there was no step.

    Once a step was seen to happen, clocks that differ do not matter.
    """
    track = subject.track(_LAST_STEP)
    if track is None or not track.is_present:
        return 0.0
    points = [(time, value) for time, value in track.points if math.isfinite(value)]
    changed = next((time for time, value in reversed(points) if value != track.latest), None)
    since_seen = next((time for time, _ in points if changed is None or time > changed), now)
    return now - since_seen if changed is not None else max(0.0, now - track.latest)


def _patience(subject: Subject) -> float:
    """Return for how many seconds there may be no step: within an epoch there is validation, too."""
    count, total = subject.value(f"{_STEP}_count"), subject.value(f"{_STEP}_sum")
    step = total / count if count and total else 0.0
    return max(STALLED_AFTER, _STEPS_TO_STALL * step, _EPOCHS_TO_STALL * (subject.value(_EPOCH) or 0.0))

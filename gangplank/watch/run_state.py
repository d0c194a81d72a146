"""How a run is doing, as far as a server tells of it."""

from __future__ import annotations

import math
from enum import Enum

from gangplank.catalogue import metric
from gangplank.history.condition import Condition, Progress, ended, of_training
from gangplank.metrics import Outcome, Phase
from gangplank.watch.history import Subject

DELAY = 60.0
"""Seconds more that a run may be silent: a Pushgateway is told of steps some seconds after they were taken."""

_RUNNING = metric(Phase.TRAIN, "running").prometheus_name
_LAST_STEP = metric(Phase.TRAIN, "last_step_timestamp").prometheus_name
_STEP = metric(Phase.TRAIN, "step_duration").prometheus_name
_EPOCH = metric(Phase.TRAIN, "epoch_duration").prometheus_name
_ELAPSED = metric(Phase.TRAIN, "elapsed_time").prometheus_name


class Tone(Enum):
    """How something is to be looked at."""

    PLAIN = "plain"
    GOOD = "good"
    POOR = "poor"
    BAD = "bad"


_TONES = {
    "running": Tone.GOOD,
    "done": Tone.GOOD,
    "interrupted": Tone.POOR,
    "stalled": Tone.BAD,
    "diverging": Tone.BAD,
    "failed": Tone.BAD,
    "diverged": Tone.BAD,
}


def tone_of(condition: Condition) -> Tone:
    """Return how a run's condition is to be looked at."""
    return _TONES.get(condition.word, Tone.PLAIN)


def run_state(subject: Subject, phase: Phase, now: float) -> Condition | None:
    """Return how the last run of a phase is doing; None if there was none.

    Args:
        subject: The model.
        phase: Training or evaluation.
        now: Unix time of the last reading.
    """
    name = metric(phase, "outcome").prometheus_name
    outcomes = {outcome: subject.value(name, outcome=outcome.value) for outcome in Outcome}
    outcome = next((outcome.value for outcome, value in outcomes.items() if value == 1), None)
    if phase is Phase.TRAIN:
        return _of_training(subject, outcome, now)
    if outcome is not None:
        return ended(outcome, _bad_loss(subject, phase))
    return Condition("running") if any(value == 0 for value in outcomes.values()) else None


def _of_training(subject: Subject, outcome: str | None, now: float) -> Condition | None:
    running = subject.value(_RUNNING)
    if running is None and outcome is None:
        return None
    count, total = subject.value(f"{_STEP}_count"), subject.value(f"{_STEP}_sum")
    return of_training(
        Progress(
            now=now,
            begun=now - (subject.value(_ELAPSED) or 0.0),
            outcome=None if running == 1 else outcome,
            is_running=running == 1,
            bad_loss=_bad_loss(subject, Phase.TRAIN),
            last_step=_last_step(subject, now),
            step_seconds=total / count if count and total else None,
            epoch_seconds=subject.value(_EPOCH),
            delay=DELAY,
        )
    )


def _bad_loss(subject: Subject, phase: Phase) -> str | None:
    """Return what the last loss is called if it is not finite. Such ones are counted, and not shown."""
    counted = subject.value(metric(phase, "nonfinite").prometheus_name, metric="loss")
    return "NaN or infinite" if counted and subject.value(f"gangplank_{phase.value}_loss") is None else None


def _last_step(subject: Subject, now: float) -> float | None:
    """Return when the last step was taken, by the clock of whoever reads; None if none was.

    Once a step was seen to happen, clocks that differ do not matter.
    """
    track = subject.track(_LAST_STEP)
    if track is None or not track.is_present:
        return None
    points = [(time, value) for time, value in track.points if math.isfinite(value)]
    changed = next((time for time, value in reversed(points) if value != track.latest), None)
    if changed is None:
        return min(track.latest, now)
    return next((time for time, _ in points if time > changed), now)

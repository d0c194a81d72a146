"""What is true of each model now, as a person wants to hear it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from gangplank.catalogue import find
from gangplank.cells import Labels
from gangplank.distribution import Distribution
from gangplank.history import condition
from gangplank.history.inference import Reading
from gangplank.history.lines import EPOCHS_LINE, STEP_LINE, Line, Subject, subject_of
from gangplank.history.recorder import History
from gangplank.metrics import Phase

_LOSS = Line("training", "loss", "training", "gangplank_train_loss")
_ABOUT = ("keras", "backend", "gangplank", "python")

Facts = dict[str, Any]


class Gauges:
    """The present values of one phase of one model.

    Args:
        readings: Its series.
    """

    def __init__(self, readings: Iterable[Reading]) -> None:
        self.readings = list(readings)

    def one(self, suffix: str) -> float | None:
        """Return the value of the series of that name, or None."""
        return next(iter(self.by(suffix).values()), None)

    def total(self, suffix: str) -> float:
        """Return the sum of all series of that name."""
        return sum(self.by(suffix).values())

    def by(self, suffix: str) -> dict[Labels, float]:
        """Return the values of all series of that name, by their labels."""
        return {
            labels: value
            for row, labels, value in self.readings
            if row.suffix == suffix and isinstance(value, (int, float))
        }

    def outcome(self) -> str | None:
        """Return how the run ended, if it has."""
        return next((dict(labels)["outcome"] for labels, value in self.by("outcome").items() if value), None)


def of(history: History, readings: Iterable[Reading], now: float) -> dict[Subject, Facts]:
    """Return what is true of each model now; the history's lock is held.

    Args:
        history: What was before.
        readings: All series, those included that are not finite.
        now: Unix time.
    """
    parts: dict[Subject, dict[Phase, list[Reading]]] = {}
    for reading in readings:
        subject = subject_of(reading[0], reading[1])
        if subject is not None:
            parts.setdefault(subject, {}).setdefault(reading[0].phase, []).append(reading)
    return {subject: _of_subject(history, subject, phases, now) for subject, phases in parts.items()}


def of_exports(readings: Iterable[Reading]) -> list[str]:
    """Return what is wrong with the telemetry itself."""
    errors: dict[str, float] = {}
    for row, labels, value in readings:
        if row.phase is Phase.EXPORT and row.suffix == "errors" and isinstance(value, (int, float)):
            kind = dict(labels)["error_type"]
            errors[kind] = errors.get(kind, 0) + value
    return [f"{count:.0f} of {kind}" for kind, count in errors.items() if count]


def _of_subject(history: History, subject: Subject, phases: Mapping[Phase, list[Reading]], now: float) -> Facts:
    facts: Facts = {}
    training, evaluation, inference = (
        Gauges(phases.get(phase, ())) for phase in (Phase.TRAIN, Phase.TEST, Phase.PREDICT)
    )
    if training.readings:
        facts["training"] = _of_training(history, subject, training, now)
    if evaluation.readings:
        facts["evaluation"] = _of_evaluation(evaluation)
    if inference.readings:
        facts["inference"] = _of_inference(inference, now)
        facts["drift"] = _of_drift(inference)
    return facts


def _of_training(history: History, subject: Subject, gauges: Gauges, now: float) -> Facts:
    book = history.book
    elapsed, planned = gauges.one("elapsed_time"), gauges.one("epochs_planned")
    run = history.trainings.get(subject)
    begun = now - (elapsed or 0.0) if run is None else run.begun
    epochs = book.points(subject, EPOCHS_LINE)
    # A loop of one's own may say when epochs end, and nothing of steps.
    heard = [one for one in (gauges.one("last_step_timestamp"), *(at for at, _ in epochs[-1:])) if one is not None]
    progress = condition.Progress(
        now=now,
        begun=begun,
        outcome=gauges.outcome(),
        is_running=gauges.one("running") == 1,
        bad_loss=condition.not_finite(book.newest(subject, _LOSS)),
        last_step=max(heard, default=None),
        step_seconds=book.newest(subject, STEP_LINE),
        epoch_seconds=gauges.one("epoch_duration"),
    )
    standing = condition.of_training(progress)
    left = None
    if planned is not None and progress.is_running:
        left = condition.seconds_left(planned, epochs, progress.epoch_seconds, now)
    return {
        "state": standing.word,
        "words": standing.sentence,
        "run": 0 if run is None else run.generation,
        "begun": begun,
        "elapsed": elapsed,
        "epochs": gauges.one("epochs_count"),
        "planned": planned,
        "left": left,
        "epoch_seconds": progress.epoch_seconds,
        "step_seconds": progress.step_seconds,
        "learning_rate": gauges.one("learning_rate"),
        "steps": gauges.one("steps"),
        "parameters": gauges.one("model_parameters_count"),
        "nonfinite": gauges.total("nonfinite"),
        "about": _about(gauges),
    }


def _about(gauges: Gauges) -> dict[str, str]:
    labels = next(iter(gauges.by("info")), ())
    return {key: value for key, value in labels if key in _ABOUT}


def _of_evaluation(gauges: Gauges) -> Facts:
    outcome = gauges.outcome()
    own = {row.suffix: value for row, _, value in gauges.readings if find(row.phase, row.suffix) is None}
    values = {key: value for key, value in own.items() if not isinstance(value, Distribution)}
    bad_loss = condition.not_finite(values.get("loss"))
    standing = condition.Condition("running") if outcome is None else condition.ended(outcome, bad_loss)
    return {
        "state": standing.word,
        "words": standing.sentence,
        "elapsed": gauges.one("elapsed_time"),
        "values": values,
    }


def _of_inference(gauges: Gauges, now: float) -> Facts:
    last = gauges.one("last_timestamp")
    calls = sum(
        value.count for row, _, value in gauges.readings if row.suffix == "duration" and isinstance(value, Distribution)
    )
    return {
        "calls": calls,
        "failed": gauges.total("errors"),
        "samples": gauges.total("") + gauges.total("call"),
        "in_flight": gauges.one("in_flight"),
        "last": None if last is None else max(now - last, 0.0),
        "errors": {dict(labels)["error_type"]: value for labels, value in gauges.by("errors").items() if value},
    }


def _of_drift(gauges: Gauges) -> list[Facts]:
    """Return what each detector says, and how many samples were not looked at."""
    found: list[Facts] = []
    for labels, detected in gauges.by("drift_detected").items():
        name = dict(labels).get("detector")
        own = Gauges(one for one in gauges.readings if dict(one[1]).get("detector") == name)
        samples = {dict(pair)["result"]: value for pair, value in own.by("drift_samples").items()}
        statistic, threshold = own.one("drift_test_statistic"), own.one("drift_threshold")
        found.append(
            {
                "detector": name or "drift function",
                "words": _drift_words(detected, statistic, own.one("drift_window_fill")),
                "detected": detected,
                "statistic": statistic,
                "threshold": threshold,
                "p_value": own.one("drift_p_value"),
                "fill": own.one("drift_window_fill"),
                "run_time": own.one("drift_expected_run_time"),
                "observations": own.one("drift_observations"),
                "unseen": samples.get("dropped", 0.0) + samples.get("failed", 0.0),
            }
        )
    return found


def _drift_words(detected: float, statistic: float | None, fill: float | None) -> str:
    times = f"Drift detected {detected:.0f} {'time' if detected == 1 else 'times'}"
    if detected:
        return times
    if statistic is None or math.isnan(statistic):
        return "Its window is not full yet" if fill is not None else "Nothing to say yet"
    return "No drift"

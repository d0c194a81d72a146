"""A history as JSON can hold it, whole or what is new since the last time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from gangplank.history import facts
from gangplank.history.inference import Reading
from gangplank.history.lines import Line, Subject
from gangplank.history.recorder import History
from gangplank.history.snapshots import Snapshot

_MOST_SUBJECTS = 100


def report(history: History, readings: Iterable[Reading], since: float = -math.inf) -> dict[str, Any]:
    """Return what there is to draw.

    Args:
        history: What was until now.
        readings: All series as they are now, those included that are not finite.
        since: The ``now`` of the last report: points that were in it are left out.
    """
    readings = list(readings)
    with history.lock:
        history.settle()
        now = history.now()
        history.book.reported(now)
        known = facts.of(history, readings, now)
        lines = [(subject, line, points) for subject, line, points in history.book.each(since)]
        weights = {subject: one.weights.since(since) for subject, one in history.trainings.items()}
        left_out = len(history.book.left_out)
    subjects = list(dict.fromkeys([*known, *(subject for subject, _, _ in lines)]))[-_MOST_SUBJECTS:]
    numbers = {subject: number for number, subject in enumerate(subjects)}
    return {
        "boot": history.boot,
        "now": now,
        "subjects": [_subject(subject, known.get(subject, {}), weights.get(subject, ())) for subject in subjects],
        "lines": [_line(numbers[subject], line, points) for subject, line, points in lines if subject in numbers],
        "left_out": left_out,
        "trouble": facts.of_exports(readings),
    }


def _subject(subject: Subject, known: facts.Facts, weights: Iterable[Snapshot]) -> dict[str, Any]:
    return {
        "model": subject.model,
        "labels": dict(subject.labels),
        **_plain(known),
        "weights": [_weights(one) for one in weights],
    }


def _line(number: int, line: Line, points: Iterable[tuple[float, float]]) -> dict[str, Any]:
    points = list(points)
    return {
        "subject": number,
        "section": line.section,
        "chart": line.chart,
        "name": line.name,
        "metric": line.metric,
        "unit": line.unit,
        "order": line.order,
        "t": [round(at, 4) for at, _ in points],
        "v": [_plain(value) for _, value in points],
    }


def _weights(snapshot: Snapshot) -> dict[str, Any]:
    distribution = snapshot.distribution
    return {
        "t": round(snapshot.at, 4),
        "epochs": _plain(snapshot.epochs),
        "bounds": list(distribution.bounds),
        "counts": [after - before for before, after in pairwise((0, *distribution.cumulative))],
        "least": _plain(distribution.least),
        "greatest": _plain(distribution.greatest),
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold, and numbers that it cannot
    """Return a value with numbers that JSON does not know as text that JavaScript's ``Number`` does."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value

"""What one model predicts: rates and latency between one sample and the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gangplank.catalogue import CALL_DURATION_BOUNDS
from gangplank.cells import Labels
from gangplank.distribution import Distribution
from gangplank.history import lines
from gangplank.history.book import Book
from gangplank.history.lines import Subject
from gangplank.history.quantiles import quantile
from gangplank.metrics import Metric

Reading = tuple[Metric, Labels, float | Distribution]
"""One series, as it was read."""

_PERCENT = 100


@dataclass(slots=True)
class _Totals:
    """What a model has done until one moment."""

    at: float
    calls: int = 0
    samples: float = 0.0
    succeeded: Sequence[int] = field(default_factory=lambda: (0,) * (len(CALL_DURATION_BOUNDS) + 1))


class Inference:
    """What is drawn of the inference of a model.

    Args:
        subject: The model.
        book: Where its lines are.
        since: Unix time at which it had done nothing yet.
    """

    def __init__(self, subject: Subject, book: Book, since: float) -> None:
        self._subject = subject
        self._book = book
        self._before = _Totals(since)

    def take(self, readings: Sequence[Reading], at: float) -> None:
        """Take the present values of a model.

        Args:
            readings: Its series of inference.
            at: Unix time.
        """
        totals, before = _totals(readings, at), self._before
        self._before = totals
        for row, labels, value in readings:
            line = lines.IN_FLIGHT_LINE if row == lines.IN_FLIGHT else lines.of_drift(row, labels)
            if line is not None and isinstance(value, (int, float)):
                self._add(line, value, at)
        seconds = at - before.at
        calls = totals.calls - before.calls
        succeeded = [after - one for after, one in zip(totals.succeeded, before.succeeded, strict=True)]
        if seconds > 0 and calls >= 0 and min(succeeded) >= 0:  # else a count went back: of other processes, say
            self._take_rates(calls, succeeded, (totals.samples - before.samples) / seconds, seconds, at)

    def _take_rates(self, calls: int, succeeded: Sequence[int], samples: float, seconds: float, at: float) -> None:
        failed = calls - succeeded[-1]
        self._add(lines.CALLS_LINE, calls / seconds, at)
        self._add(lines.FAILED_LINE, failed / seconds, at)
        self._add(lines.SAMPLES_LINE, samples, at)
        if calls:
            self._add(lines.ERROR_SHARE_LINE, _PERCENT * failed / calls, at)
        for share, line in lines.LATENCY_LINES.items():
            latency = quantile(share, CALL_DURATION_BOUNDS, succeeded)
            if latency is not None:
                self._add(line, latency, at)

    def _add(self, line: lines.Line, value: float, at: float) -> None:
        self._book.add(self._subject, line, at, value)


def _totals(readings: Sequence[Reading], at: float) -> _Totals:
    totals = _Totals(at)
    for row, labels, value in readings:
        if row == lines.DURATION and isinstance(value, Distribution):
            totals.calls += value.count
            if not dict(labels)["error_type"]:
                totals.succeeded = [one + more for one, more in zip(totals.succeeded, value.cumulative, strict=True)]
        elif row in lines.SAMPLES and isinstance(value, (int, float)):
            totals.samples += value
    return totals

"""The history of what a registry shows: written at the ends of epochs and once a second, read by whoever looks."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from gangplank.distribution import Distribution
from gangplank.history.book import Book
from gangplank.history.inference import Inference, Reading
from gangplank.history.lines import Subject, is_of_epochs, subject_of
from gangplank.history.training import Training
from gangplank.locks import Lock
from gangplank.merging import Run
from gangplank.metrics import Metric, Phase
from gangplank.state import State

_MOST_NOTES = 4000
"""Notes that can wait to be settled. Later ones are not taken: a few epochs out of thousands."""
_MANY_NOTES = 200
"""Notes with which the next sample, which comes within a second or two, is not waited for."""

_MOST_SUBJECTS = 100
_SLEPT = 5.0
"""Seconds by which the system's clock must be ahead to be followed."""

Runs = Mapping[Run, int]
_Note = tuple[float, list[Reading], Runs]


class History:
    """What series were, from its construction on.

    Attributes:
        boot: Tells it from the one that may answer next at the same address.
        book: All lines.
        trainings: What is drawn of each model's training.
        lock: Held for all that is done to these, but never by who trains or predicts.
    """

    def __init__(self) -> None:
        self.boot = secrets.token_hex(8)
        self.book = Book()
        self.trainings: dict[Subject, Training] = {}
        self.lock = Lock()
        self._inferences: dict[Subject, Inference] = {}
        self._left_out: dict[Subject, int] = {}  # and which of their runs was the last
        self._notes: deque[_Note] = deque()
        self._unix = time.time() - time.perf_counter()
        self._sampled = self.now()

    def now(self) -> float:
        """Return the Unix time, by a clock that never goes back."""
        return self._unix + time.perf_counter()

    def _catch_up(self) -> None:
        """Follow the system's clock forward: ours stood still while the machine slept, and steps are by the other."""
        ahead = time.time() - self.now()
        if ahead > _SLEPT:
            self._unix += ahead

    @property
    def is_crowded(self) -> bool:
        """Whether there is much to settle."""
        return len(self._notes) >= _MANY_NOTES

    def note(self, state: State) -> None:
        """Read what there is at the end of an epoch, on the thread that trains: as little as can be, and no lock."""
        if len(self._notes) >= _MOST_NOTES:
            return
        readings: list[Reading] = [
            (row, labels, value)
            for row in state.metrics()
            if is_of_epochs(row)
            for _, series in state.series_now(row)
            for labels, value in series
            if value is not None
        ]
        if readings:
            readings += [one for one in state.undefined() if is_of_epochs(one[0])]
            self._notes.append((self.now(), readings, dict(state.runs)))

    def sample(self, readings: Sequence[Reading], undefined: Iterable[Reading], runs: Runs) -> None:
        """Take what there is now.

        Args:
            readings: All series.
            undefined: Those whose value is not finite, as far as this process knows them.
            runs: The newest run of each model.
        """
        self._catch_up()
        at = self.now()
        with self.lock:
            self.settle()
            self._take_trainings([*readings, *undefined], runs, at)
            for subject, some in _by_subject(readings, Phase.PREDICT).items():
                if subject not in self._inferences and len(self._inferences) < _MOST_SUBJECTS:
                    self._inferences[subject] = Inference(subject, self.book, self._sampled)
                if subject in self._inferences:
                    self._inferences[subject].take(some, at)
            self._sampled = at

    def settle(self) -> None:
        """Take what was noted since the last time."""
        with self.lock:
            while self._notes:
                at, readings, runs = self._notes.popleft()
                self._take_trainings(readings, runs, at)

    def _take_trainings(self, readings: Iterable[Reading], runs: Runs, at: float) -> None:
        for subject, some in _by_subject(readings, Phase.TRAIN).items():
            run = runs.get((Phase.TRAIN, subject.model, subject.labels), 0)
            training = self.trainings.get(subject)
            if training is None:
                if run <= self._left_out.get(subject, -1):
                    continue
                training = self._begin(subject, at)
            if run > training.run:
                training.begin(at)
                training.run = run
            if run == training.run:  # else it is a note of the run before
                training.take(_values(some), at)

    def _begin(self, subject: Subject, at: float) -> Training:
        """Begin with a model, in the place of the one that was begun with first if there is no room."""
        if len(self.trainings) >= _MOST_SUBJECTS:
            oldest = next(iter(self.trainings))
            training = self.trainings.pop(oldest)
            training.forget()
            self._left_out[oldest] = training.run
        training = self.trainings[subject] = Training(subject, self.book)
        training.begin(at)
        return training


def _by_subject(readings: Iterable[Reading], phase: Phase) -> dict[Subject, list[Reading]]:
    found: dict[Subject, list[Reading]] = {}
    for row, labels, value in readings:
        subject = subject_of(row, labels) if row.phase is phase else None
        if subject is not None:
            found.setdefault(subject, []).append((row, labels, value))
    return found


def _values(readings: Iterable[Reading]) -> dict[Metric, float | Distribution]:
    return {row: value for row, _, value in readings if row.attributes == ("model",)}

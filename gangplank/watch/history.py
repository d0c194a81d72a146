"""Everything that was read, by what it is of: a model, as one process or group of a gateway tells of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from gangplank.catalogue import CATALOGUE
from gangplank.metrics import Kind
from gangplank.watch.reading import Labels, Reading, Sample
from gangplank.watch.track import Track

MOST_SUBJECTS = 200
MOST_TRACKS = 5000

_PARTS = ("_bucket", "_sum", "_count")
_OF_SUBJECT = frozenset({"model", "rank"})
_NOBODYS = frozenset({"phase"})
"""Where a Pushgateway keeps a model's training apart from its predictions, it is one model still."""


@dataclass(frozen=True, slots=True)
class Key:
    """What tells subjects apart.

    Attributes:
        model: The model's name; empty for what a process says of itself.
        origin: Which process or group says so: job, instance, rank and whatever else labels it.
    """

    model: str
    origin: Labels

    @property
    def order(self) -> tuple[str, list[tuple[str, str]]]:
        """What subjects are sorted by."""
        return self.model, sorted(self.origin)


def _inner_labels() -> dict[str, frozenset[str]]:
    """Return, for each name that samples of the catalogue can have, the labels that are not the subject's."""
    found: dict[str, frozenset[str]] = {}
    for row in CATALOGUE:
        inner = frozenset({*row.attributes, *row.optional}) - _OF_SUBJECT
        found[row.prometheus_name] = inner
        if row.kind in (Kind.HISTOGRAM, Kind.SNAPSHOT):
            found |= {f"{row.prometheus_name}{part}": inner | {"le"} for part in _PARTS}
    return found


_INNER = _inner_labels()
_COUNTERS = frozenset(row.prometheus_name for row in CATALOGUE if row.kind is Kind.COUNTER) | {
    f"{row.prometheus_name}{part}" for row in CATALOGUE if row.kind is Kind.HISTOGRAM for part in _PARTS
}


class Subject:
    """A model as it was and is.

    Attributes:
        key: What tells it from others.
        seen: The Unix time at which it was last there.
        is_present: It was there at the last reading.
    """

    def __init__(self, key: Key) -> None:
        self.key = key
        self.seen = -math.inf
        self.is_present = False
        self.tracks: dict[tuple[str, Labels], Track] = {}

    def come(self, time: float, before: float) -> None:
        """Note that it is there; if it was not at the reading before, its lines have a gap."""
        if not self.is_present and -math.inf < self.seen < time:
            for track in self.tracks.values():
                track.miss(before)
        self.seen = time

    def value(self, name: str, **labels: str) -> float | None:
        """Return what a series is now, or was last if its subject has gone; None if no series has these labels."""
        track = self.tracks.get((name, frozenset(labels.items())))
        return track.latest if track is not None and track.is_present else None

    def track(self, name: str, **labels: str) -> Track | None:
        """Return the past of a series; None if there is none."""
        return self.tracks.get((name, frozenset(labels.items())))

    def named(self, name: str) -> Iterator[tuple[dict[str, str], Track]]:
        """Yield all series of a name, by their labels."""
        for (of, labels), track in self.tracks.items():
            if of == name:
                yield dict(labels), track

    def names(self) -> set[str]:
        """Return what series it has or had."""
        return {name for name, _ in self.tracks}


class History:
    """What was read so far, within bounds.

    Attributes:
        left_out: How many series there are that were not taken.
    """

    def __init__(self) -> None:
        self.left_out = 0
        self._subjects: dict[Key, Subject] = {}
        self._tracks = 0
        self._read = 0.0

    @property
    def subjects(self) -> list[Subject]:
        """The models, sorted."""
        return sorted((one for one in self._subjects.values() if one.key.model), key=lambda one: one.key.order)

    def process_of(self, subject: Subject) -> Subject | None:
        """Return what the process or group that a model is of says of itself, if it does."""
        return self._subjects.get(Key("", subject.key.origin))

    def take(self, reading: Reading) -> None:
        """Add a reading."""
        self.left_out = reading.left_out
        taken: set[int] = set()
        for sample in reading.samples:
            track = self._track(sample, reading.time)
            if track is None:
                self.left_out += 1
                continue
            if id(track) not in taken:  # two groups of a gateway may say the same
                track.add(reading.time, sample.value)
                taken.add(id(track))
        for subject in self._subjects.values():
            subject.is_present = subject.seen == reading.time
            # Of one that has gone altogether, what it was last stays to be seen.
            for track in subject.tracks.values() if subject.is_present else ():
                if id(track) not in taken:
                    track.miss(reading.time)
        self._read = reading.time

    def _track(self, sample: Sample, time: float) -> Track | None:
        """Return the series of a sample, a new one if there is room for it."""
        key, identity = _identity(sample)
        subject = self._subjects.get(key, Subject(key))
        subject.come(time, self._read)
        track = subject.tracks.get(identity)
        if track is None:
            if not self._has_room(is_new=key not in self._subjects):
                return None
            self._subjects[key] = subject
            track = subject.tracks[identity] = Track(is_counter=sample.name in _COUNTERS)
            self._tracks += 1
            if subject.is_present and sample.name in _COUNTERS:  # it was not there, so it counted nothing yet
                track.add(self._read, 0.0)
        return track

    def _has_room(self, *, is_new: bool) -> bool:
        """Whether one more fits in, once what has gone longest ago has made room for it."""
        while self._tracks >= MOST_TRACKS or (is_new and len(self._subjects) >= MOST_SUBJECTS):
            gone = [one for one in self._subjects.values() if one.seen < self._read]
            if not gone:
                return False
            oldest = min(gone, key=lambda one: one.seen)
            self._tracks -= len(oldest.tracks)
            del self._subjects[oldest.key]
        return True


def _identity(sample: Sample) -> tuple[Key, tuple[str, Labels]]:
    """Return which subject a sample is of, and which series of it."""
    inner = _INNER.get(sample.name, frozenset())
    labels = dict(sample.labels)
    model = labels.pop("model", "")
    origin = frozenset(pair for pair in labels.items() if pair[0] not in inner and pair[0] not in _NOBODYS)
    return Key(model, origin), (sample.name, frozenset(pair for pair in labels.items() if pair[0] in inner))

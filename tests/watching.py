"""What the tests of ``gangplank watch`` share: readings as they are made by hand, or of a telemetry's own page."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest

from gangplank import PrometheusExporter, Telemetry
from gangplank.testing import ManualClock
from gangplank.watch import exposition
from gangplank.watch.history import History, Subject
from gangplank.watch.reading import Reading, ReadingError, Sample

LOSS = "gangplank_train_loss"


def sample(name: str, value: float, **labels: str) -> Sample:
    """Return a sample of the model net, unless the labels say otherwise."""
    return Sample(name, frozenset({"model": "net", **labels}.items()), value)


def history_of(name: str, values: Iterable[float], **labels: str) -> History:
    """Return a history of one series, a second between its values."""
    history = History()
    for second, value in enumerate(values):
        history.take(Reading(float(second), (sample(name, value, **labels),)))
    return history


def only(history: History) -> Subject:
    """Return the one subject of a history."""
    (subject,) = history.subjects
    return subject


class Scripted:
    """A source that has what it is told to have.

    Args:
        turns: What each reading finds; the last again and again. A text is why there is nothing to be had.
    """

    def __init__(self, *turns: tuple[Sample, ...] | str) -> None:
        self.turns = list(turns)
        self.time = 1000.0

    def read(self) -> list[Reading]:
        """Return what there is."""
        turn = self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]
        self.time += 1
        if isinstance(turn, str):
            raise ReadingError(turn)
        return [Reading(self.time, turn)]


class Page:
    """A telemetry whose page can be read, at a time that stands still until it is moved."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.registry = CollectorRegistry()
        exporter = PrometheusExporter(port=None, registry=self.registry)
        self.telemetry = Telemetry(exporters=[exporter], clock=self.clock)
        self.telemetry.start()
        self.history = History()

    def read(self) -> Subject:
        """Read it, and return the one model that it is of."""
        found = exposition.read("page", generate_latest(self.registry).decode())
        self.history.take(Reading(self.clock.time(), found.samples, found.left_out))
        return only(self.history)

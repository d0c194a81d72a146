"""The directory in which processes keep their series, and what all of them together say."""

from __future__ import annotations

import functools
import logging
import os
import weakref
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from gangplank.cells import Labels, Part
from gangplank.distribution import Distribution
from gangplank.exporters.multiprocess import segment
from gangplank.exporters.multiprocess.filelock import FileLock
from gangplank.merging import Run, Source
from gangplank.metrics import Kind, Metric, Union
from gangplank.series import Value, gauge_value, snapshot_value, together
from gangplank.state import State
from gangplank.trouble import Trouble

_logger = logging.getLogger("gangplank.exporters.multiprocess")
SUFFIX = ".gangplank"
_ARCHIVE = "archive" + SUFFIX

_Series = tuple[Metric, Labels]
_Held = tuple[Part, Sequence[float]]


class Directory:
    """A directory of files of cells, as a source of series.

    Args:
        path: The directory, which is made if it is not there.

    Attributes:
        path: The directory.
        members: The states of this process that are kept there, each with what ends that and how often it was asked.
        left: Those that were once.

    Raises:
        OSError: it cannot be made, or not be written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.members: weakref.WeakKeyDictionary[State, tuple[Callable[[], None], int]] = weakref.WeakKeyDictionary()
        self.left: weakref.WeakSet[State] = weakref.WeakSet()
        self._trouble = Trouble(_logger)
        path.mkdir(parents=True, exist_ok=True)
        with self.locked():
            pass

    @property
    def runs(self) -> Mapping[Run, int]:
        """Nothing: of several processes, what was set last stands."""
        return {}

    @property
    def includes(self) -> Collection[Source]:
        """The states of this process that are kept there."""
        return list(self.members)

    @contextmanager
    def locked(self) -> Generator[None, None, None]:
        """Keep other processes, and threads, from adding and taking away files."""
        lock = FileLock(self.path / "lock", create=True)
        try:
            lock.wait()
            yield
        finally:
            lock.let_go()

    def series_now(self, only: Metric | None = None) -> list[tuple[Metric, list[tuple[Labels, Value]]]]:
        """Return the labels and the value of all series of all processes, or of those of one metric."""
        for state in list(self.members):
            state.write_computed()
        held: dict[_Series, list[_Held]] = {}
        with self.locked():
            self.bury()
            folded = self._folded()  # which could not be deleted, if they are still there
            for path in self._files():
                for parts, cells in self._records(path) if path.name not in folded else ():
                    for part in parts:
                        held.setdefault((part.metric, part.labels), []).append((part, cells))
        families: dict[Metric, list[tuple[Labels, Value]]] = {}
        for (metric, labels), shares in held.items():
            if only in (None, metric):
                families.setdefault(metric, []).append((labels, _value(metric, shares)))
        return list(families.items())

    def _files(self) -> list[Path]:
        return sorted(self.path.glob(f"*{SUFFIX}"))

    def bury(self) -> None:
        """Fold the files of processes that are gone into the archive, and delete them; the directory is locked."""
        archive = self.path / _ARCHIVE
        dead = [path for path in self._files() if path != archive and self._is_dead(path)]
        if dead:
            try:
                self._fold(dead, archive)
                for path in dead:
                    path.unlink()
            except OSError as error:  # a disk that is full, say; they count as well where they are
                self._trouble.report(f"write {archive}", error)

    def _fold(self, dead: list[Path], archive: Path) -> None:
        folded = self._folded()
        held = {
            (part.metric, part.labels): list(cells)
            for parts, cells in (self._records(archive) if archive.exists() else ())
            for part in parts
        }
        for path in dead:
            # It is there, and folded already, if whoever folded it was killed before it could delete it.
            if path.name not in folded:
                for parts, cells in self._records(path):
                    for part in parts:
                        _fold(part, cells, held)
        records = [([Part(metric, labels, 0, metric.bounds)], cells) for (metric, labels), cells in held.items()]
        fresh = archive.with_suffix(".new")
        fresh.write_bytes(segment.written(records, note=[path.name for path in dead]))
        fresh.replace(archive)

    def _folded(self) -> frozenset[str]:
        """Return the names of the files that were folded last."""
        path = self.path / _ARCHIVE
        try:
            return frozenset(segment.note(path.read_bytes())) if path.exists() else frozenset()
        except (OSError, ValueError) as error:
            self._trouble.report(f"read {path}", error, cause="unreadable")
            return frozenset()

    def _is_dead(self, path: Path) -> bool:
        """Whether nobody holds the lock of a file, as its process does for as long as it lives."""
        try:
            lock = FileLock(path)
        except OSError as error:  # whatever it is, it is no file of ours
            self._trouble.report(f"read {path}", error, cause="unreadable")
            return False
        try:
            return path.is_file() and lock.take()
        finally:
            lock.let_go()

    def _records(self, path: Path) -> list[tuple[tuple[Part, ...], memoryview[float]]]:
        try:
            with open(path, "rb", opener=_opened) as file:
                head = file.read(segment.HEAD)
                rest = file.read(segment.size_in_use(head) - len(head))
            return list(segment.read(head + rest))
        except (OSError, ValueError) as error:
            self._trouble.report(f"read {path}", error, cause="unreadable")
            return []


@functools.cache
def directory_at(path: Path) -> Directory:
    """Return the directory at a resolved path: one for the process."""
    return Directory(path)


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def _fold(part: Part, cells: Sequence[float], held: dict[_Series, list[float]]) -> None:
    """Add what outlives a process to the archive."""
    metric, own = part.metric, cells[part.offset : part.offset + part.width]
    before = held.get((metric, part.labels), [0.0] * part.width)
    if metric.kind in (Kind.COUNTER, Kind.HISTOGRAM):
        held[metric, part.labels] = [left + right for left, right in zip(before, own, strict=True)]
    elif metric.kind is Kind.GAUGE and metric.union is Union.GREATEST:
        held[metric, part.labels] = [max(before[0], own[0])]


def _value(metric: Metric, shares: list[_Held]) -> Value:
    """Return what the shares of a series are together."""
    if metric.kind is Kind.COUNTER:
        return sum(cells[part.offset] for part, cells in shares)
    if metric.kind is Kind.GAUGE:
        values = [value for part, cells in shares if (value := gauge_value(metric, cells, part.offset))]
        return together(metric.union, values)
    if metric.kind is Kind.SNAPSHOT:
        part, cells = max(shares, key=lambda share: share[1][-1])
        return snapshot_value(part.bounds, cells)
    rows = [cells[part.offset : part.offset + part.width] for part, cells in shares]
    *counts, total = map(sum, zip(*rows, strict=True))
    cumulative: list[int] = []
    for count in counts:
        cumulative.append(int(count) + (cumulative[-1] if cumulative else 0))
    return Distribution(metric.bounds, tuple(cumulative), total)

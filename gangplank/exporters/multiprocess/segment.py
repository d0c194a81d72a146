"""The format of a file of cells.

- 8 bytes: ``GANGPLK1``
- 8 bytes: how many bytes of the file are in use
- records, each a multiple of 8 bytes long: the length of its key, the number of its cells and whether it is alive, 4
  bytes each and 4 of padding; the key, which is JSON in UTF-8, padded with spaces; the cells, 8 bytes each

Numbers are as the machine has them, since nobody but its own processes reads them.
"""

from __future__ import annotations

import functools
import json
import mmap
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence

from gangplank.catalogue import find, model_metric
from gangplank.cells import Cells, Labels, Part
from gangplank.metrics import Kind, Phase

CAPACITY = 16 * 2**20
"""Bytes of a file, most of which a file system does not keep until they are used. Some 60,000 series."""

_MAGIC = b"GANGPLK1"
_USED = struct.Struct("=Q")
_RECORD = struct.Struct("=IIII")
_AT_ONCE = 2**16
"""Bytes for which room is made at a time."""
HEAD = len(_MAGIC) + _USED.size
"""Bytes before the first record."""


class Writer:
    """Writes records to a file that is mapped into memory.

    Args:
        memory: The file, :data:`CAPACITY` bytes of nothing.
        reserve: Called with a place and a length before they are written to. It raises where there is no room, on a
            disk that is full, say: writing to the memory would end the process.
    """

    def __init__(self, memory: mmap.mmap, reserve: Callable[[int, int], None]) -> None:
        self._memory = memory
        self._view = memoryview(memory)
        self._reserve = reserve
        self._reserved = 0
        self._used = HEAD
        self._have(HEAD)
        _USED.pack_into(memory, len(_MAGIC), self._used)
        memory[: len(_MAGIC)] = _MAGIC
        self._released: dict[bytes, list[int]] = {}
        self._places: dict[int, tuple[bytes, int]] = {}

    def add(self, parts: Sequence[Part]) -> Cells:
        """Return cells for a new record, all 0.

        Raises:
            MemoryError: the file is full.
        OSError: the disk is.
        """
        key = encoded(parts)
        count = max(part.offset + part.width for part in parts)
        place = self._revive(key) if self._released.get(key) else self._append(key, count)
        start = place + _RECORD.size + len(key)
        cells = self._view[start : start + 8 * count].cast("d")
        self._places[id(cells)] = key, place
        return cells

    def remove(self, cells: Cells) -> None:
        """Have the record of these cells count no more. Its room is used again for one with the same key."""
        key, place = self._places.pop(id(cells))
        self._mark(place, len(key), len(cells), is_alive=False)
        self._released.setdefault(key, []).append(place)

    def _append(self, key: bytes, count: int) -> int:
        place, length = self._used, _RECORD.size + len(key) + 8 * count
        if place + length > CAPACITY:
            raise MemoryError(f"the file of {CAPACITY} bytes for the series of this process is full")
        self._have(place + length)
        self._mark(place, len(key), count, is_alive=True)
        self._memory[place + _RECORD.size : place + _RECORD.size + len(key)] = key
        self._used = place + length
        _USED.pack_into(self._memory, len(_MAGIC), self._used)  # last, as readers go by it
        return place

    def _have(self, end: int) -> None:
        if end > self._reserved:
            more = max(end - self._reserved, _AT_ONCE)
            self._reserve(self._reserved, min(more, CAPACITY - self._reserved))
            self._reserved = min(self._reserved + more, CAPACITY)

    def _revive(self, key: bytes) -> int:
        place = self._released[key].pop()
        _, count, _, _ = _RECORD.unpack_from(self._memory, place)
        start = place + _RECORD.size + len(key)
        self._memory[start : start + 8 * count] = bytes(8 * count)
        self._mark(place, len(key), count, is_alive=True)
        return place

    def _mark(self, place: int, key_length: int, count: int, *, is_alive: bool) -> None:
        _RECORD.pack_into(self._memory, place, key_length, count, is_alive, 0)


def read(content: bytes) -> Iterator[tuple[tuple[Part, ...], memoryview[float]]]:
    """Yield the parts and the cells of each record that is alive.

    Raises:
        ValueError: the file is no such file, or damaged.
    """
    if content[: len(_MAGIC)] != _MAGIC or len(content) < HEAD:
        raise ValueError("not a file of Gangplank's")
    (used,) = _USED.unpack_from(content, len(_MAGIC))
    place, view = HEAD, memoryview(content)
    if used > len(content):
        raise ValueError(f"{used} bytes are said to be in use, and there are {len(content)}")
    while place < used:
        if place + _RECORD.size > used:
            raise ValueError(f"the {used} bytes in use end in the middle of a record")
        key_length, count, is_alive, _ = _RECORD.unpack_from(content, place)
        start = place + _RECORD.size + key_length
        place = start + 8 * count
        if place > used:
            raise ValueError(f"a record ends at {place}, beyond the {used} bytes in use")
        if is_alive:
            parts = decoded(content[start - key_length : start])
            if any(part.offset + part.width > count for part in parts):
                raise ValueError(f"a record has {count} cells, and needs more")
            yield parts, view[start:place].cast("d")


def size_in_use(head: bytes) -> int:
    """Return how many bytes of a file are in use, by its first 16 bytes.

    Raises:
        ValueError: it is no such file.
    """
    if head[: len(_MAGIC)] != _MAGIC or len(head) < HEAD:
        raise ValueError("not a file of Gangplank's")
    return int(_USED.unpack_from(head, len(_MAGIC))[0])


def written(records: Iterable[tuple[Sequence[Part], Sequence[float]]], note: list[str]) -> bytes:
    """Return a file with these records, and a note of whoever writes it in a record that does not count."""
    body = bytearray()
    key = _padded(json.dumps(note))
    body += _RECORD.pack(len(key), 0, 0, 0) + key
    for parts, cells in records:
        key = encoded(parts)
        body += _RECORD.pack(len(key), len(cells), 1, 0) + key + struct.pack(f"={len(cells)}d", *cells)
    return _MAGIC + _USED.pack(HEAD + len(body)) + bytes(body)


def note(content: bytes) -> list[str]:
    """Return the note in a file that was made by :func:`written`.

    Raises:
        ValueError: the file is no such file, or damaged.
    """
    if len(content) < HEAD + _RECORD.size:
        raise ValueError("not a file of Gangplank's")
    key_length, *_ = _RECORD.unpack_from(content, HEAD)
    names = json.loads(content[HEAD + _RECORD.size :][:key_length])
    if not isinstance(names, list):
        raise ValueError(f"not a note: {names!r}")  # noqa: TRY004 - it is the file that is wrong
    return [str(name) for name in names]


def encoded(parts: Sequence[Part]) -> bytes:
    """Return the key of a record with these parts."""
    return _padded(
        json.dumps(
            [
                [part.metric.phase.value, part.metric.suffix, dict(part.labels), part.offset, part.bounds]
                for part in parts
            ]
        )
    )


@functools.lru_cache(maxsize=65536)
def decoded(key: bytes) -> tuple[Part, ...]:
    """Return the parts of a record with this key.

    Raises:
        ValueError: it is no key.
    """
    try:
        return tuple(_part(*fields) for fields in json.loads(key))
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"not a key of a record: {key[:200]!r}") from error


def _padded(text: str) -> bytes:
    key = text.encode()
    return key + b" " * (-len(key) % 8)


def _part(phase: str, suffix: str, labels: dict[str, str], offset: int, bounds: list[float]) -> Part:
    metric = find(Phase(phase), suffix) or model_metric(Phase(phase), suffix)
    if metric.kind is Kind.HISTOGRAM and tuple(bounds) != metric.bounds:
        raise ValueError(f"{metric.name} has other buckets here: it is of another version of Gangplank")
    own: Labels = tuple((name, str(labels[name])) for name in metric.attributes)
    more: Labels = tuple((name, str(text)) for name, text in labels.items() if name not in metric.attributes)
    if not isinstance(offset, int) or offset < 0:
        raise ValueError(f"{offset!r} is no place of a cell")
    return Part(metric, own + more, offset, tuple(float(bound) for bound in bounds))

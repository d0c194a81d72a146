"""A storage that other processes can read: cells in a file of this process's own."""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from gangplank.cells import Cells, Memory, Part
from gangplank.exporters.multiprocess import segment
from gangplank.exporters.multiprocess.directory import SUFFIX, Directory, let_go
from gangplank.state import State
from gangplank.trouble import Trouble

_logger = logging.getLogger("gangplank.exporters.multiprocess")


def keep_together(state: State, directory: Directory) -> Callable[[], None]:
    """Keep a state in a directory from now on. If it is already, do nothing.

    Returns:
        A function that leaves what it did to whoever is scraped next.
    """
    if state in directory.writers:
        return lambda: None
    storage = SharedStorage(directory)
    state.keep_in(storage)
    directory.writers.add(state)

    def leave() -> None:
        directory.writers.discard(state)
        storage.close()

    return leave


class SharedStorage:
    """Keeps cells in a file in a directory. The file is made when the first cells are wanted.

    Args:
        directory: The directory.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._trouble = Trouble(_logger)
        self._file: _File | None = None

    def allocate(self, parts: Sequence[Part]) -> Cells:
        """Return cells for these parts. Where there is no room for them, only this process sees what they hold."""
        try:
            if self._file is None:
                self._file = _File(self._directory)
            return self._file.writer.add(parts)
        except (OSError, MemoryError) as error:
            self._trouble.report(f"keep series in {self._directory.path}", error)
            return Memory().allocate(parts)

    def release(self, cells: Cells) -> None:
        """Take back what ``allocate`` returned."""
        if self._file is not None and isinstance(cells, memoryview):
            self._file.writer.remove(cells)

    def inherited(self) -> SharedStorage:
        """Return a storage for a forked child, and let go of what is the parent's."""
        if self._file is not None:
            self._file.leave_to_parent()
        return SharedStorage(self._directory)

    def close(self) -> None:
        """Leave the file to whoever is scraped next, who folds it into the archive."""
        if self._file is not None:
            self._file.unlock()


class _File:
    """A file of this process's own, locked for as long as it is alive.

    The lock is on an opening of the file of its own. A mapping keeps the file open, also in a forked child, which would
    hold the lock beyond its parent's end.
    """

    def __init__(self, directory: Directory) -> None:
        path = directory.path / f"{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        with directory.locked():  # until it is locked itself, it looks as if its process were gone
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self.writer = segment.Writer(_mapped(path))

    def unlock(self) -> None:
        """Let go of the lock."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            let_go(lock)

    def leave_to_parent(self) -> None:
        """Let go of what a forked child has of it; the parent still has the lock."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def _mapped(path: Path) -> mmap.mmap:
    with path.open("r+b") as file:
        file.truncate(segment.CAPACITY)
        return mmap.mmap(file.fileno(), segment.CAPACITY)

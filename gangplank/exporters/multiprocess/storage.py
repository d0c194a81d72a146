"""A storage that other processes can read: cells in a file of this process's own."""

from __future__ import annotations

import functools
import logging
import mmap
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from gangplank.cells import Cells, Memory, Part
from gangplank.exporters.multiprocess import segment
from gangplank.exporters.multiprocess.directory import SUFFIX, Directory
from gangplank.exporters.multiprocess.filelock import FileLock
from gangplank.locks import Lock
from gangplank.state import State
from gangplank.trouble import Trouble

_joining = Lock()
_logger = logging.getLogger("gangplank.exporters.multiprocess")


def keep_together(state: State, directory: Directory) -> Callable[[], None]:
    """Keep a state in a directory from now on.

    Returns:
        A function that takes this one request back. When the last is, what the state did is left to whoever is scraped
        next; kept there once more, it starts over, so that nothing is counted twice.
    """
    with _joining:
        members = directory.members
        if state not in members:
            if state in directory.left:
                state.start_over()
            storage = SharedStorage(directory)
            state.keep_in(storage)
            members[state] = storage.close, 0
        close, requests = members[state]
        members[state] = close, requests + 1
    return functools.partial(_leave, state, directory)


def _leave(state: State, directory: Directory) -> None:
    with _joining:
        close, requests = directory.members[state]
        directory.members[state] = close, requests - 1
        if requests == 1:
            del directory.members[state]
            directory.left.add(state)
            state.keep_in(Memory())
            close()


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
        """Return a storage for a forked child."""
        return SharedStorage(self._directory)

    def close(self) -> None:
        """Leave the file to whoever is scraped next, who folds it into the archive."""
        if self._file is not None:
            self._file.lock.let_go()


class _File:
    """A file of this process's own, locked for as long as it is alive.

    The lock is on an opening of the file of its own. A mapping keeps the file open, also in a forked child, which would
    hold the lock beyond its parent's end.
    """

    def __init__(self, directory: Directory) -> None:
        path = directory.path / f"{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        with directory.locked():  # until it is locked itself, it looks as if its process were gone
            directory.bury()  # where workers come and go and nobody scrapes
            self.lock = FileLock(path, exclusive=True)
            try:
                self.lock.take()
                self.writer = _writer(path)
            except BaseException:
                path.unlink()
                self.lock.let_go()
                raise


def _writer(path: Path) -> segment.Writer:
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.ftruncate(file, segment.CAPACITY)
        memory = mmap.mmap(file, segment.CAPACITY)
    finally:
        os.close(file)
    return segment.Writer(memory, functools.partial(_reserve, path))


def _reserve(path: Path, place: int, length: int) -> None:
    if hasattr(os, "posix_fallocate"):  # not on macOS
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.posix_fallocate(file, place, length)
        finally:
            os.close(file)

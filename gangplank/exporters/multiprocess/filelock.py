"""Locks on files: they are let go of when their process ends, however it does."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gangplank.forks import in_child


class FileLock:
    """A lock on a file, of this process and not of its children.

    Args:
        path: The file.
        create: Make the file if it is not there.
        exclusive: Make the file, which must not be there.

    Raises:
        OSError: the file cannot be opened, or made.
    """

    def __init__(self, path: Path, *, create: bool = False, exclusive: bool = False) -> None:
        self._file = -1
        _all.add(self)
        how = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        if create or exclusive:
            how |= os.O_CREAT
        if exclusive:
            how |= os.O_EXCL
        self._file = os.open(path, how, 0o644)

    def take(self) -> bool:
        """Take the lock, and return whether it was to be had."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def wait(self) -> None:
        """Take the lock, waiting for it."""
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def let_go(self) -> None:
        """Let go of the lock, if it was taken, and close the file. A second call does nothing.

        To close it would not be enough: a child that was forked in some other way than Python's has it open too.
        """
        if self._file >= 0:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            self.leave_to_parent()

    def leave_to_parent(self) -> None:
        """Close what a forked child has of it: the parent has the lock still, and the child would beyond its end."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


_all = in_child(FileLock.leave_to_parent)

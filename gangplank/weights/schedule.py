"""When to read weights: every so many epochs, or as often as a share of the time allows."""

from __future__ import annotations

from gangplank.locks import Lock


class Schedule:
    """Decides after each epoch; measures what reading costs, and backs off.

    Args:
        every_n_epochs: Only after every so many epochs, if not None.
        max_share: Only so often that reading takes at most this share of the time, if not None.
    """

    def __init__(self, every_n_epochs: int | None, max_share: float | None) -> None:
        self._every_n_epochs = every_n_epochs
        self._max_share = max_share
        self._lock = Lock()
        self._spent = self._last = 0.0

    def is_due(self, completed: int, elapsed: float) -> bool:
        """Whether to read now.

        Args:
            completed: How many epochs are done.
            elapsed: Seconds since the training began. Another reading as long as the last one must fit in the share.
        """
        if self._every_n_epochs is None and self._max_share is None:
            return False
        if self._every_n_epochs is not None and completed % self._every_n_epochs:
            return False
        with self._lock:
            return self._max_share is None or self._spent + self._last <= self._max_share * elapsed

    def took(self, seconds: float) -> None:
        """Take note of what a reading cost."""
        with self._lock:
            self._spent += seconds
            self._last = seconds

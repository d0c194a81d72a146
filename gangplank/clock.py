"""Where time comes from."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where time comes from; tests bring their own."""

    def time(self) -> float:
        """Return the Unix time in seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some moment, never going back: for durations."""
        ...


class SystemClock:
    """The system's clock."""

    def time(self) -> float:
        """Return the Unix time in seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since some moment."""
        return time.perf_counter()

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

    # The functions themselves: a method round each would be most of its cost.
    monotonic = staticmethod(time.perf_counter)
    time = staticmethod(time.time)

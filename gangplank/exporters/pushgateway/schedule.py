"""When to push: not with everyone else, not in bursts, and not soon again to a gateway in trouble."""

from __future__ import annotations

import random
import time

_random = random.SystemRandom()  # the program may have seeded its own, and forked processes share theirs
SPREAD = 0.5
"""Seconds over which the first pushes of processes that start together are spread."""
_SPACING = 0.25
"""Seconds between pushes that nobody waits for: epochs that end faster share one, and keep the interpreter."""
_BREATHS = 3.0
"""How much longer than the last push took: of many clients of a gateway at its limit, most must not be waiting."""
_FIRST_RETRY, _LONGEST_RETRY = 0.5, 60.0
LAST_RETRIES = (0.25, 0.5, 1.0)
"""Seconds between attempts to deliver the last state: one bad answer must not lose it."""


class Schedule:
    """The times of pushes.

    Args:
        interval: Seconds between pushes that nothing asks for.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._failures = 0
        now = time.monotonic()
        self._not_before = now + _random.uniform(0, min(SPREAD, interval))
        self._due = now + _random.uniform(0, interval)

    def until_allowed(self) -> float:
        """Return the seconds until a push that was asked for may be made."""
        return max(self._not_before - time.monotonic(), 0)

    def until_due(self) -> float:
        """Return the seconds until a push that nothing has asked for."""
        return max(self._due - time.monotonic(), 0)

    def pushed(self, *, took: float, again: bool) -> None:
        """Note that a push has just been made.

        Args:
            took: The seconds that it took.
            again: It failed, and the same may succeed later: it is tried again after pauses that grow, up to the
                interval.
        """
        now = time.monotonic()
        if not again:
            self._failures = 0
            self._due = now + self._interval
            self._not_before = now + max(min(_SPACING, self._interval), _BREATHS * took)
            return
        pause = min(_FIRST_RETRY * 2.0**self._failures, self._interval, _LONGEST_RETRY)
        self._failures = min(self._failures + 1, 16)
        self._not_before = self._due = now + jittered(pause)


def jittered(pause: float) -> float:
    """Return ``pause`` or up to half less: clients that failed together do not come back together."""
    return _random.uniform(pause / 2, pause)

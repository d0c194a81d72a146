"""Reading again and again, whatever comes of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gangplank.watch.reading import Reading, ReadingError


class Readable(Protocol):
    """What can be read: a :class:`~gangplank.watch.source.Source`, or what a test has in its place."""

    def read(self) -> list[Reading]:
        """Return what there is that was not read before, oldest first.

        Raises:
            ReadingError: there is nothing to be had.
        """
        ...


@dataclass(frozen=True, slots=True)
class Update:
    """What came of reading once.

    Attributes:
        time: Unix time.
        readings: What there is; none if there was a problem.
        problem: Why there is nothing, or empty.
    """

    time: float
    readings: tuple[Reading, ...] = ()
    problem: str = ""


def poll(source: Readable) -> Update:
    """Read once. Nothing that a server does ends a watch."""
    try:
        return Update(time.time(), tuple(source.read()))
    except ReadingError as error:
        return Update(time.time(), problem=str(error))
    except Exception as error:  # noqa: BLE001 - of a server that answers with what nobody thought of
        return Update(time.time(), problem=f"what is there cannot be read ({type(error).__name__})")


class Poller:
    """Reads on a thread of its own, which no program waits for.

    Args:
        source: What to read.
        interval: Seconds from one reading to the next.
        take: Is given what came of each, on that thread.
    """

    def __init__(self, source: Readable, interval: float, take: Callable[[Update], object]) -> None:
        self._source = source
        self._interval = interval
        self._take = take
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gangplank-watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, once the reading that is under way is over; this does not wait for it."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            began = time.monotonic()
            update = poll(self._source)
            if not self._stopped.is_set():
                self._take(update)
            self._stopped.wait(max(0.0, self._interval - (time.monotonic() - began)))

"""The watch as lines, for a pipe, a file or a terminal that can do no more."""

from __future__ import annotations

import select
import sys
import time

from gangplank.watch.history import History
from gangplank.watch.lines import Lines
from gangplank.watch.poll import Readable, poll


def watch(source: Readable, url: str, interval: float, *, once: bool) -> int:
    """Print what has changed, as often as asked, and return the exit status.

    Args:
        source: What is read.
        url: Where it is, without what is secret.
        interval: Seconds from one reading to the next.
        once: Read once only.

    Raises:
        BrokenPipeError: nobody reads the lines any more.
    """
    history, lines = History(), Lines()
    while True:
        began = time.monotonic()
        update = poll(source)
        for reading in update.readings:
            history.take(reading)
        problem = update.problem or ("" if history.subjects else "there is nothing of a model yet")
        moment = update.time
        found = lines.problem(url, problem, moment) if problem else lines.changed(history, update.readings[-1])
        sys.stdout.write("".join(f"{line}\n" for line in found))
        sys.stdout.flush()
        if once:
            return 1 if update.problem or not history.subjects else 0
        _wait(max(0.0, interval - (time.monotonic() - began)))


def _wait(seconds: float) -> None:
    """Wait, but not for longer than somebody reads."""
    if not hasattr(select, "poll"):  # Windows
        time.sleep(seconds)
        return
    end_of_reader = select.poll()
    end_of_reader.register(sys.stdout.fileno(), 0)
    if end_of_reader.poll(seconds * 1000):
        raise BrokenPipeError

"""The thread that samples."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from gangplank.trouble import Trouble

_EVERY = 1.0
"""Seconds between samples."""
_SHARE = 0.02
"""Of one core's time at the most, that sampling takes."""


class Sampler:
    """Calls a function once a second, less often where that takes long, until it is stopped.

    Args:
        sample: The function.
        settle: Called in between, when there is much to settle.
        trouble: Takes what goes wrong in either.
    """

    def __init__(self, sample: Callable[[], None], settle: Callable[[], None], trouble: Trouble) -> None:
        self._sample = sample
        self._settle = settle
        self._trouble = trouble
        self._is_over = False
        self._wanted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gangplank-history", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Have ``settle`` called soon."""
        self._wanted.set()

    def stop(self, timeout: float = 1.0) -> None:
        """Stop, and wait for that for so many seconds at the most."""
        self._is_over = True
        self._wanted.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        due = time.monotonic() + _EVERY
        while True:
            is_early = self._wanted.wait(max(due - time.monotonic(), 0))
            if self._is_over:
                return
            self._wanted.clear()
            began = time.thread_time()
            with self._trouble.contained("sample metrics for the page"):
                (self._settle if is_early else self._sample)()
            if not is_early:
                due = time.monotonic() + max(_EVERY, (time.thread_time() - began) / _SHARE)

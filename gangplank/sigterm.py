"""SIGTERM, for those who ask: what was not delivered is, and then the signal goes to who had it before.

Nothing is delivered inside the signal handler: the main thread, which runs it, may be in the middle of something that
whoever delivers has to wait for. A thread delivers while the main thread goes on, and then sends the signal again.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

from gangplank.errors import ConfigurationError

_logger = logging.getLogger("gangplank.sigterm")


class Delivery(Protocol):
    """Delivers what was not delivered yet, within some seconds."""

    def __call__(self, *, ends: bool) -> None:
        """Deliver.

        Args:
            ends: The process ends next, so that it is for the last time. Otherwise a handler of the program's comes
                next, which may take its time to end it.
        """
        ...


def install(delivery: Delivery) -> None:
    """Handle SIGTERM from now on. A signal that the program ignores stays ignored.

    Args:
        delivery: Delivers. There is one in a process.

    Raises:
        ConfigurationError: this is not the main thread, or the handler that is there is not Python's.
    """
    previous = signal.getsignal(signal.SIGTERM)
    if isinstance(previous, _Handler) or previous is signal.SIG_IGN:
        return
    if previous is None:
        raise ConfigurationError("handle_sigterm: the present handler of SIGTERM is not Python's, and cannot be called")
    try:
        signal.signal(signal.SIGTERM, _Handler(delivery, previous))
    except ValueError:
        raise ConfigurationError("handle_sigterm: signals can be handled by the main thread only") from None


class _Handler:
    """Delivers, and hands the signal on.

    Args:
        delivery: Delivers.
        previous: Who handled it before.
    """

    def __init__(self, delivery: Delivery, previous: Any) -> None:  # noqa: ANN401 - as the signal module has it
        self._delivery = delivery
        self._previous = previous
        self._then: Callable[[int], None] = _end_container if _is_init() and previous is signal.SIG_DFL else _send

    def __call__(self, number: int, frame: FrameType | None) -> None:
        signal.signal(number, self._previous)  # a second signal goes there at once
        if callable(self._previous) and _wakes_a_loop():
            # An event loop's own handler runs by this very signal, which must not be sent to it twice.
            self._then = lambda _: None
            self._previous(number, frame)
        delivering = threading.Thread(target=self._deliver, args=(number,), name="gangplank-sigterm", daemon=True)
        try:
            delivering.start()
        except RuntimeError:  # the interpreter is going down, and delivers already
            self._then(number)

    def _deliver(self, number: int) -> None:
        try:
            self._delivery(ends=self._previous is signal.SIG_DFL)
        except Exception:  # whatever it is, the signal must get through
            _logger.warning("could not deliver at SIGTERM", exc_info=True)
        finally:
            self._then(number)


def _wakes_a_loop() -> bool:
    descriptor = signal.set_wakeup_fd(-1)
    if descriptor != -1:
        signal.set_wakeup_fd(descriptor)
    return descriptor != -1


def _send(number: int) -> None:
    os.kill(os.getpid(), number)


def _is_init() -> bool:
    """Whether this is the first process of a container. What it has no handler for, it does not get."""
    return os.getpid() == 1


def _end_container(number: int) -> None:
    os._exit(128 + number)

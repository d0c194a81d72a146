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
from contextlib import suppress
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


_first: list[Delivery] = []
_then: list[Delivery] = []


def on_sigterm(delivery: Delivery, *, first: bool = False) -> Callable[[], None]:
    """Have ``delivery`` called at SIGTERM, if that is handled.

    Args:
        delivery: Delivers.
        first: Before the others, since it has what they deliver.

    Returns:
        A function that takes the request back.
    """
    deliveries = _first if first else _then
    deliveries.append(delivery)

    def take_back() -> None:
        with suppress(ValueError):
            deliveries.remove(delivery)

    return take_back


def install() -> None:
    """Handle SIGTERM from now on. A signal that the program ignores stays ignored.

    Raises:
        ConfigurationError: this is not the main thread, or the handler that is there is not Python's.
    """
    previous = signal.getsignal(signal.SIGTERM)
    if isinstance(previous, _Handler) or previous is signal.SIG_IGN:
        return
    if previous is None:
        raise ConfigurationError("handle_sigterm: the present handler of SIGTERM is not Python's, and cannot be called")
    try:
        signal.signal(signal.SIGTERM, _Handler(previous))
    except ValueError:
        raise ConfigurationError("handle_sigterm: signals can be handled by the main thread only") from None


class _Handler:
    """Delivers, and hands the signal on.

    Args:
        previous: Who handled it before.
    """

    def __init__(self, previous: Any) -> None:  # noqa: ANN401 - as the signal module has it
        self._previous = previous

    def __call__(self, number: int, _: FrameType | None) -> None:
        signal.signal(number, self._previous)  # a second signal goes there at once
        delivering = threading.Thread(target=self._deliver, args=(number,), name="gangplank-sigterm", daemon=True)
        try:
            delivering.start()
        except RuntimeError:  # the interpreter is going down, and delivers already
            os.kill(os.getpid(), number)

    def _deliver(self, number: int) -> None:
        try:
            for deliveries in (_first, _then):
                threads = [threading.Thread(target=self._call, args=(one,), daemon=True) for one in deliveries]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
        finally:
            os.kill(os.getpid(), number)

    def _call(self, delivery: Delivery) -> None:
        try:
            delivery(ends=self._previous is signal.SIG_DFL)
        except Exception:  # whatever it is, the signal must get through
            _logger.warning("could not deliver at SIGTERM", exc_info=True)

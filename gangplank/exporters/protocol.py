"""What an exit is to :class:`gangplank.Telemetry`: an :class:`Exporter` to start, which gives a :class:`Handle`."""

from __future__ import annotations

from typing import Protocol, TypeVar

from gangplank.state import State
from gangplank.trouble import Trouble


class Handle(Protocol):
    """A started exit."""

    def notify(self) -> None:
        """Hear that something worth exporting has happened. Returns at once, and raises nothing."""
        ...

    def flush(self, timeout: float) -> None:
        """Deliver the present state within ``timeout`` seconds.

        Raises:
            ExportError: it could not be delivered.
        """
        ...

    def begin_close(self) -> None:
        """Begin to close, and return at once: several exits are closed side by side."""
        ...

    def close(self, timeout: float) -> None:
        """Deliver what was not delivered yet and let go of threads and sockets, within ``timeout`` seconds.

        Never raises; a second call does nothing.
        """
        ...


H_co = TypeVar("H_co", bound=Handle, covariant=True)


class Exporter(Protocol[H_co]):
    """The settings of an exit, checked at construction. Opens nothing before it is started."""

    def start(self, state: State, trouble: Trouble) -> H_co:
        """Start to export ``state``.

        Args:
            state: What to export.
            trouble: Takes the errors that come up later.

        Raises:
            GangplankError: the exit cannot be started, because its port is taken, say.
        """
        ...

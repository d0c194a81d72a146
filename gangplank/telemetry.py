"""One state and all its exits: what a callback, a proxy or a training loop reports to."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from gangplank import binding, checks, sigterm
from gangplank.catalogue import metric
from gangplank.clock import Clock, SystemClock
from gangplank.errors import ConfigurationError, ExportError
from gangplank.exporters.given import checked, is_exporter
from gangplank.exporters.protocol import Exporter, Handle
from gangplank.exporters.sdk import OwnProvider, is_sdk_part
from gangplank.locks import Lock
from gangplank.metrics import Phase
from gangplank.naming import Names
from gangplank.state import State
from gangplank.tracing import Tracing
from gangplank.trouble import Trouble

_logger = logging.getLogger("gangplank.telemetry")
_ERRORS = metric(Phase.EXPORT, "errors")
_AT_EXIT = 5.0
"""Seconds that the end of a program, or of a ``with`` block, waits for what is not delivered yet."""

_FOR_DRAINS = 1.0
"""Seconds of these for what is under way in the background: the exits need the rest."""

_AT_ONCE = 0.001
"""Seconds that are left where none are."""

_H = TypeVar("_H", bound=Handle)
_T = TypeVar("_T")


class Telemetry:
    """Collects what models do and shows it at its exits.

    Constructing one opens no port and starts no thread. ``start()`` does, or a ``with`` block, or the first run of a
    callback. A program that ends without closing its telemetry is waited for: what was not delivered is, within five
    seconds.

    Args:
        exporters: Exits of its own: :class:`~gangplank.PrometheusExporter`, :class:`~gangplank.PushgatewayExporter`,
            and MetricReaders and MetricExporters of the OpenTelemetry SDK, for which a MeterProvider is built.
        meter_provider: The MeterProvider to join, also beside ``exporters``. Without either, the one that the process
            has or will have is joined. It is joined by the public API; nothing of it is changed, and it is never shut
            down here.
        tracer_provider: The TracerProvider to make the spans of inference with. By default that of the process; while
            it has none, no spans are made.
        clock: Where time comes from; for tests.

    Raises:
        TypeError: an exporter or a provider is none.

    Example:
        >>> from gangplank import PrometheusExporter, Telemetry
        >>> with Telemetry(exporters=[PrometheusExporter(port=0)]) as telemetry:
        ...     telemetry.state.version
        0
    """

    _open_ones: ClassVar[set[Telemetry]] = set()

    def __init__(
        self,
        *,
        exporters: Iterable[Any] = (),
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.state = State()
        self.clock: Clock = SystemClock() if clock is None else clock
        self.trouble = Trouble(_logger, self._count)
        given = checked(exporters)
        if meter_provider is not None and not isinstance(meter_provider, MeterProvider):
            raise TypeError(f"meter_provider must be an OpenTelemetry MeterProvider, not {meter_provider!r}")
        if tracer_provider is not None and not isinstance(tracer_provider, TracerProvider):
            raise TypeError(f"tracer_provider must be an OpenTelemetry TracerProvider, not {tracer_provider!r}")
        self.tracing = Tracing(tracer_provider, self.state, self.clock, self.trouble)
        sdk_parts = [part for part in given if is_sdk_part(part)]
        # What start() has yet to do. With exits of its own it joins no provider unasked: a process that has both would
        # show, and count, everything twice.
        self._waiting: list[Callable[[], object]] = []
        if sdk_parts:
            self._waiting.append(functools.partial(self._build_provider, sdk_parts))
        if meter_provider is not None or not given:
            self._waiting.append(functools.partial(binding.join, self.state, meter_provider))
        self._waiting += [functools.partial(self._attach, one) for one in given if not is_sdk_part(one)]
        self._handles: list[Handle] = []
        self._names: dict[tuple[Phase, str], Names] = {}
        self._endings: list[Callable[[BaseException | None], None]] = []
        self._drains: list[Callable[[float], None]] = []
        self._lock = Lock()
        self._started_in: int | None = None
        self._closer: int | None = None
        self._closed = threading.Event()

    @property
    def is_closed(self) -> bool:
        """Whether it was closed; it then takes no more exits."""
        return self._closer is not None

    @property
    def is_parents(self) -> bool:
        """Whether this is a forked child, with a copy of runs and exits that are its parent's."""
        return self._started_in is not None and self._started_in != os.getpid()

    @property
    def handles(self) -> tuple[Handle, ...]:
        """The exits of its own that are open, in the order in which they were started."""
        return tuple(self._handles)

    def start(self) -> None:
        """Join the provider and start the exits. A second call starts only those that could not be before.

        Raises:
            GangplankError: an exit could not be started. The others are.
        """
        failure: Exception | None = None
        with self._lock:
            self._open()
            for begin in list(self._waiting):
                try:
                    begin()
                    self._waiting.remove(begin)
                except Exception as error:  # noqa: BLE001 - raised below, once the others have had their turn
                    failure = failure or error
        if failure is not None:
            raise failure

    def start_if_possible(self) -> None:
        """Start as a run or a call does that comes upon it: an exit that cannot be started is reported as trouble."""
        try:
            self.start()
        except Exception as error:  # noqa: BLE001 - whatever an exporter raises, it is not for who trains or predicts
            self.trouble.report("start an exporter", error)

    def attach(self, exporter: Exporter[_H]) -> _H:
        """Start one more exit now and own it: it is closed with this telemetry.

        Returns:
            The exit's handle, such as a :class:`~gangplank.exporters.scrape.Scrape` with its ``url``.

        Raises:
            TypeError: it is no exporter.
            GangplankError: it, or an exit that was given before, could not be started, or this telemetry is closed.
        """
        if is_sdk_part(exporter) or not is_exporter(exporter):
            raise TypeError(
                f"exporter must be a PrometheusExporter, a PushgatewayExporter or the like, not {exporter!r}; parts of "
                "the OpenTelemetry SDK are given to Telemetry(exporters=[...])"
            )
        self.start()
        return self._attach(exporter)

    def notify(self) -> None:
        """Tell the exits that something worth exporting has happened. Returns at once."""
        for handle in self.handles:
            with self.trouble.contained("notify an exporter"):
                handle.notify()

    def flush(self, timeout: float = 5.0) -> None:
        """Deliver the present state to every exit of its own, within ``timeout`` seconds.

        Raises:
            ExportError: an exit could not deliver, or this telemetry is closed. The other exits were flushed.
        """
        if self.is_closed:
            raise ExportError("this telemetry is closed: what it had was delivered then, if it could be")
        deadline = time.monotonic() + checks.seconds("timeout", timeout)
        self._drain(deadline)
        failure: ExportError | None = None
        for handle in self.handles:
            with self.trouble.contained("flush an exporter"):
                try:
                    handle.flush(_left(deadline))
                except ExportError as error:
                    failure = failure or error
        if failure is not None:
            raise failure

    def close(self, timeout: float = 5.0) -> None:
        """End runs that are still on, deliver for the last time and close the exits, within ``timeout`` seconds.

        Raises nothing once the timeout is a number; a second call waits for the first. A MeterProvider that is not ours
        goes on to show the final values, since it alone knows when it exports for the last time. A forked child closes
        nothing of its parent's.
        """
        self._close(None, time.monotonic() + checks.seconds("timeout", timeout))

    def names(self, phase: Phase, model: str) -> Names:
        """Return the names that the metrics of that model have in that phase."""
        with self._lock:
            if (phase, model) not in self._names:
                self._names[phase, model] = Names(phase)
            return self._names[phase, model]

    def on_close(self, ending: Callable[[BaseException | None], None]) -> Callable[[], None]:
        """Have ``ending`` called when this telemetry is closed, with the exception that is ending the program, if any.

        Returns:
            A function that takes the request back.
        """
        return _add(self._endings, ending)

    def on_delivery(self, drain: Callable[[float], None]) -> Callable[[], None]:
        """Have ``drain`` called before a state is delivered on request, or for the last time.

        Args:
            drain: Finishes what is under way in the background, within the seconds that it is given.

        Returns:
            A function that takes the request back.
        """
        return _add(self._drains, drain)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close(error, time.monotonic() + _AT_EXIT)

    def _open(self) -> None:
        if self.is_closed:
            raise ExportError("this telemetry is closed and cannot be started again: make a new one")
        if self not in self._open_ones:
            self._open_ones.add(self)
            self._started_in = os.getpid()
            # Anew, so that it comes before what was registered earlier, such as a provider's own end.
            atexit.unregister(self._close_at_exit)
            atexit.register(self._close_at_exit)

    def _attach(self, exporter: Exporter[_H]) -> _H:
        with self._lock:
            self._open()
            handle = exporter.start(self.state, self.trouble)
            self._handles.append(handle)
        return handle

    def _build_provider(self, sdk_parts: list[Any]) -> None:
        try:
            own = OwnProvider(sdk_parts, self.state)
        except Exception as error:  # the SDK raises plain Exceptions, for a reader that another provider has, say
            raise ConfigurationError(f"exporters: no MeterProvider could be built of {sdk_parts}: {error}") from error
        self._handles.append(own)
        binding.join(self.state, own.provider)

    def _close(self, error: BaseException | None, deadline: float) -> None:
        if self._begin_close(error, deadline):
            self._finish_close(deadline)
        else:
            self._await_close(deadline)

    def _begin_close(self, error: BaseException | None, deadline: float) -> bool:
        """End the runs and have the exits begin to close. Return whether it is for the caller to finish that."""
        if self.is_parents:
            return False
        with self._lock:
            if self.is_closed:
                return False
            self._closer = threading.get_ident()
        for ending in list(self._endings):
            with self.trouble.contained("end a run"):
                ending(error)
        self._drain(min(deadline, time.monotonic() + _FOR_DRAINS))
        for handle in self._handles:
            with self.trouble.contained("close an exporter"):
                handle.begin_close()
        return True

    def _drain(self, deadline: float) -> None:
        for drain in tuple(self._drains):
            with self.trouble.contained("finish what is under way"):
                drain(_left(deadline))

    def _finish_close(self, deadline: float) -> None:
        with self._lock:
            handles, self._handles = self._handles, []
            self._open_ones.discard(self)
        for handle in handles:
            with self.trouble.contained("close an exporter"):
                handle.close(_left(deadline))
        self._closed.set()

    def _await_close(self, deadline: float) -> None:
        """Wait for another thread that closes; for this one itself, in the middle of closing, there is no waiting."""
        if not self.is_parents and self._closer != threading.get_ident():
            self._closed.wait(_left(deadline))

    @classmethod
    def _close_at_exit(cls) -> None:
        # The interpreter leaves here the exception that nobody caught; in an interactive session, some earlier one.
        cls._close_all(None if hasattr(sys, "ps1") else getattr(sys, "last_value", None))

    @classmethod
    def _close_all(cls, error: BaseException | None) -> None:
        """Close what the program left open, all of it together in the time that one takes."""
        deadline = time.monotonic() + _AT_EXIT
        begun = [(telemetry, telemetry._begin_close(error, deadline)) for telemetry in list(cls._open_ones)]  # noqa: SLF001
        for telemetry, is_ours in begun:
            (telemetry._finish_close if is_ours else telemetry._await_close)(deadline)  # noqa: SLF001 - of this class

    @classmethod
    def deliver_all(cls, *, ends: bool) -> None:
        """Deliver what all open telemetries of the process have, in the time that one takes.

        Args:
            ends: The process ends next, and its runs with it.
        """
        if ends:
            cls._close_all(SystemExit())
            return
        deadline = time.monotonic() + _AT_EXIT
        for telemetry in list(cls._open_ones):
            with telemetry.trouble.contained("deliver"), suppress(ExportError):
                telemetry.flush(max(_left(deadline), _AT_ONCE))

    def _count(self, error: BaseException) -> None:
        self.state.counter(_ERRORS, error_type=type(error).__name__).add(1)


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0)


def _add(items: list[_T], item: _T) -> Callable[[], None]:
    items.append(item)

    def take_back() -> None:
        if item in items:
            items.remove(item)

    return take_back


sigterm.on_sigterm(Telemetry.deliver_all, first=True)

"""One state and all its exits: what a callback, a proxy or a training loop reports to."""

from __future__ import annotations

import atexit
import functools
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

from opentelemetry.metrics import MeterProvider

from gangplank import binding
from gangplank.catalogue import Phase, metric
from gangplank.clock import Clock, SystemClock
from gangplank.errors import ConfigurationError, ExportError
from gangplank.exporters.protocol import Exporter, Handle
from gangplank.exporters.sdk import OwnProvider, is_sdk_part
from gangplank.naming import Names
from gangplank.state import State
from gangplank.trouble import Trouble

_logger = logging.getLogger("gangplank.telemetry")
_ERRORS = metric(Phase.EXPORT, "errors")
_LEAST = 0.1

_H = TypeVar("_H", bound=Handle)


class Telemetry:
    """Collects what models do and shows it at its exits.

    Constructing one opens no port and starts no thread. ``start()`` does, or a ``with`` block, or the first run of a
    callback. A program that ends without closing its telemetry is waited for: what was not delivered is, within five
    seconds.

    Args:
        exporters: Exits of its own: :class:`~gangplank.PrometheusExporter`, :class:`~gangplank.PushgatewayExporter`,
            and MetricReaders and MetricExporters of the OpenTelemetry SDK, for which a MeterProvider is built.
        meter_provider: The MeterProvider to join. By default the one that the process has or will have, unless
            ``exporters`` holds parts of the SDK. It is joined by the public API; nothing of it is changed, and it is
            never shut down here.
        clock: Where time comes from; for tests.

    Raises:
        TypeError: an exporter or the provider is none.

    Example:
        >>> from gangplank import PrometheusExporter, Telemetry
        >>> with Telemetry(exporters=[PrometheusExporter(port=0)]) as telemetry:
        ...     telemetry.state.version
        0
    """

    def __init__(
        self,
        *,
        exporters: Iterable[Any] = (),
        meter_provider: MeterProvider | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.state = State()
        self.clock: Clock = SystemClock() if clock is None else clock
        self.trouble = Trouble(_logger, self._count)
        given = _exporters(exporters)
        if meter_provider is not None and not isinstance(meter_provider, MeterProvider):
            raise TypeError(f"meter_provider must be an OpenTelemetry MeterProvider, not {meter_provider!r}")
        sdk_parts = [part for part in given if is_sdk_part(part)]
        self._waiting: list[Callable[[], object]] = []
        if sdk_parts:
            self._waiting.append(functools.partial(self._build_provider, sdk_parts))
        if meter_provider is not None or not sdk_parts:
            self._waiting.append(functools.partial(binding.join, self.state, meter_provider))
        self._waiting += [functools.partial(self.attach, one) for one in given if not is_sdk_part(one)]
        self._handles: list[Handle] = []
        self._names: dict[tuple[Phase, str], Names] = {}
        self._endings: list[Callable[[BaseException | None], None]] = []
        self._lock = threading.RLock()
        self._opened = self._closed = False

    @property
    def is_closed(self) -> bool:
        """Whether it was closed; it then takes no more exits."""
        return self._closed

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

    def attach(self, exporter: Exporter[_H]) -> _H:
        """Start one more exit now and own it: it is closed with this telemetry.

        Returns:
            The exit's handle, such as a :class:`~gangplank.exporters.prometheus.ScrapeServer` with its ``url``.

        Raises:
            TypeError: it is no exporter.
            GangplankError: it could not be started, or this telemetry is closed.
        """
        if is_sdk_part(exporter) or not _is_exporter(exporter):
            raise TypeError(
                f"exporter must be a PrometheusExporter, a PushgatewayExporter or the like, not {exporter!r}; parts of "
                "the OpenTelemetry SDK are given to Telemetry(exporters=[...])"
            )
        with self._lock:
            self._open()
            handle = exporter.start(self.state, self.trouble)
            self._handles.append(handle)
        return handle

    def notify(self) -> None:
        """Tell the exits that something worth exporting has happened.

        Raises:
            ExportError: an exit exports on this thread, as its user asked, and could not.
        """
        for handle in self._handles:
            try:
                handle.notify()
            except ExportError:
                raise
            except Exception as error:  # noqa: BLE001 - an exit's fault is not the host's
                self.trouble.report("notify an exporter", error, detail=True)

    def flush(self, timeout: float = 5.0) -> None:
        """Deliver the present state to every exit of its own, within ``timeout`` seconds.

        Raises:
            ExportError: an exit could not deliver.
        """
        deadline = time.monotonic() + timeout
        for handle in list(self._handles):
            handle.flush(max(deadline - time.monotonic(), _LEAST))

    def close(self, timeout: float = 5.0) -> None:
        """End runs that are still on, deliver for the last time and close the exits, within ``timeout`` seconds.

        Never raises; a second call does nothing. A MeterProvider that is not ours goes on to show the final values,
        since it alone knows when it exports for the last time.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        atexit.unregister(self._close_at_exit)
        self._end_runs(None)
        self._close_exits(timeout)

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
        self._endings.append(ending)

        def take_back() -> None:
            if ending in self._endings:
                self._endings.remove(ending)

        return take_back

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
        self._end_runs(error)
        self.close()

    def _open(self) -> None:
        if self._closed:
            raise ExportError("this telemetry is closed and cannot be started again: make a new one")
        if not self._opened:
            self._opened = True
            atexit.register(self._close_at_exit)

    def _build_provider(self, sdk_parts: list[Any]) -> None:
        try:
            own = OwnProvider(sdk_parts)
        except Exception as error:  # the SDK raises plain Exceptions, for a reader that another provider has, say
            raise ConfigurationError(f"exporters: no MeterProvider could be built of {sdk_parts}: {error}") from error
        self._handles.append(own)
        binding.join(self.state, own.provider)

    def _close_at_exit(self) -> None:
        # The interpreter leaves here the exception that nobody caught.
        self._end_runs(getattr(sys, "last_value", None))
        self.close()

    def _end_runs(self, error: BaseException | None) -> None:
        for ending in list(self._endings):
            with self.trouble.contained("end a run"):
                ending(error)
        self._endings.clear()

    def _close_exits(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        for handle in self._handles:
            with self.trouble.contained("close an exporter"):
                handle.close(max(deadline - time.monotonic(), _LEAST))
        self._handles.clear()

    def _count(self, error: BaseException) -> None:
        self.state.counter(_ERRORS, error_type=type(error).__name__).add(1)


def _exporters(value: Any) -> list[Any]:  # noqa: ANN401 - checked here
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"exporters must be a list of exporters, not {value!r}")
    given = list(value)
    for index, one in enumerate(given):
        if not (is_sdk_part(one) or _is_exporter(one)):
            raise TypeError(
                f"exporters[{index}] must be a PrometheusExporter, a PushgatewayExporter, or a MetricReader or "
                f"MetricExporter of the OpenTelemetry SDK, not {one!r}"
            )
    return given


def _is_exporter(candidate: object) -> bool:
    return not isinstance(candidate, type) and callable(getattr(candidate, "start", None))

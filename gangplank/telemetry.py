"""One state and all its exits: what a callback, a proxy or a training loop reports to."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from gangplank import binding, checks, lifetime, ranks
from gangplank.attributes import common_labels
from gangplank.catalogue import metric
from gangplank.clock import Clock, SystemClock
from gangplank.errors import ConfigurationError, ExportError
from gangplank.exits import Exits
from gangplank.exporters.given import checked, is_exporter
from gangplank.exporters.protocol import Exporter, Handle
from gangplank.exporters.sdk import OwnProvider, is_sdk_part
from gangplank.locks import Lock
from gangplank.metrics import Phase
from gangplank.naming import Names
from gangplank.runs import Run
from gangplank.state import State
from gangplank.tracing import Tracing
from gangplank.training import TrainingRun
from gangplank.trouble import Trouble

_logger = logging.getLogger("gangplank.telemetry")
_ERRORS = metric(Phase.EXPORT, "errors")
_H = TypeVar("_H", bound=Handle)


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
        tracer_provider: The TracerProvider to make the spans of runs and of inference with. By default that of the
            process; while it has none, no spans are made.
        attributes: Labels of every series, beside its own, such as ``{"experiment": "a"}``; ten at the most. What is
            true of all that the process exports belongs into OpenTelemetry's resource, or into the scrape's labels.
        clock: Where time comes from; for tests.

    Raises:
        TypeError: an exporter or a provider is none, or an attribute no text.
        ConfigurationError: an attribute has a name that cannot be a label's, or is another one's.

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
        tracer_provider: TracerProvider | None = None,
        attributes: Mapping[str, str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.state = State(common_labels("attributes", attributes or {}))
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
        self._names: dict[tuple[Phase, str], Names] = {}
        self._lock = Lock()
        self._exits = Exits(self.trouble, self._lock)

    @property
    def is_closed(self) -> bool:
        """Whether it was closed; it then takes no more exits."""
        return self._exits.is_closed

    @property
    def is_parents(self) -> bool:
        """Whether this is a forked child, with a copy of runs and exits that are its parent's."""
        return self._exits.is_parents

    @property
    def handles(self) -> tuple[Handle, ...]:
        """The exits of its own that are open, in the order in which they were started."""
        return self._exits.handles

    def start(self) -> None:
        """Join the provider and start the exits. A second call starts only those that could not be before.

        Raises:
            GangplankError: an exit could not be started. The others are.
        """
        failure: Exception | None = None
        with self._lock:
            self._exits.open()
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
        self._exits.notify()

    def run_ended(self) -> None:
        """Wait until the end of a run is delivered, where the process is killed before the end of the program.

        Elsewhere the end of the program waits for it. What cannot be delivered is given up as it is there.
        """
        if ranks.in_ray_train() is not None:
            with suppress(ExportError):
                self.flush(lifetime.AT_EXIT)

    def training_run(
        self, model: str, *, epochs: int | None = None, metrics: Iterable[str] | None = None, rank: int | None = None
    ) -> TrainingRun:
        """Begin the training run of a loop of one's own, to be used as a context manager.

        The run ends as the block does: in success, failed if an exception leaves it, interrupted by Ctrl-C or
        ``sys.exit``; diverged if the last ``loss`` was not finite.

        Args:
            model: The model's name.
            epochs: How many are planned, if that is known.
            metrics: Which of the metrics that the loop reports to export; all, if None.
            rank: Which process of a distributed run this is, from 0. By default as the launcher says in the
                environment, if it does. What the model's own metrics are is then exported by the first alone.

        Raises:
            TypeError: an argument has the wrong type.
            ConfigurationError: a name is empty, the rank negative, or the number of epochs below 1.

        Example:
            >>> with Telemetry() as telemetry, telemetry.training_run("net", epochs=2) as run:
            ...     for epoch in range(2):
            ...         for batch in range(100):
            ...             run.step()
            ...         run.epoch({"loss": 0.25})
        """
        name, only, rank = checks.text("model", model), checks.names("metrics", metrics), _rank(rank)
        planned = None if epochs is None else checks.count("epochs", epochs)
        self.start_if_possible()
        run = TrainingRun(self, name, only=only, rank=rank)
        if planned is not None:
            run.plan(planned)
        return run

    def evaluation_run(self, model: str, *, metrics: Iterable[str] | None = None, rank: int | None = None) -> Run:
        """Begin an evaluation of one's own, to be used as a context manager.

        Args:
            model: As for :meth:`training_run`.
            metrics: As for :meth:`training_run`.
            rank: As for :meth:`training_run`.

        Raises:
            TypeError: an argument has the wrong type.
            ConfigurationError: a name is empty, or the rank negative.

        Example:
            >>> with Telemetry() as telemetry, telemetry.evaluation_run("net") as run:
            ...     run.report({"loss": 0.25})
        """
        name, only, rank = checks.text("model", model), checks.names("metrics", metrics), _rank(rank)
        self.start_if_possible()
        return Run(self, Phase.TEST, name, only=only, rank=rank)

    def flush(self, timeout: float = 5.0) -> None:
        """Deliver the present state to every exit of its own, within ``timeout`` seconds.

        Raises:
            ExportError: an exit could not deliver, or this telemetry is closed. The other exits were flushed.
        """
        self._exits.flush(checks.seconds("timeout", timeout))

    def close(self, timeout: float = 5.0) -> None:
        """End runs that are still on, deliver for the last time and close the exits, within ``timeout`` seconds.

        Raises nothing once the timeout is a number; a second call waits for the first. A MeterProvider that is not ours
        goes on to show the final values, since it alone knows when it exports for the last time. A forked child closes
        nothing of its parent's.
        """
        lifetime.close(self._exits, None, checks.seconds("timeout", timeout))

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
        return self._exits.on_close(ending)

    def on_delivery(self, drain: Callable[[float], None]) -> Callable[[], None]:
        """Have ``drain`` called before a state is delivered on request, or for the last time.

        Args:
            drain: Finishes what is under way in the background, within the seconds that it is given.

        Returns:
            A function that takes the request back.
        """
        return self._exits.on_delivery(drain)

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
        lifetime.close(self._exits, error)

    def __reduce__(self) -> NoReturn:
        """Say what to do instead.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "a Telemetry cannot be pickled, nor can what reports to it: make both in the process that uses them, as in "
            "the function that the workers of a job run"
        )

    def _attach(self, exporter: Exporter[_H]) -> _H:
        with self._lock:
            self._exits.open()
            handle = exporter.start(self.state, self.trouble)
            self._exits.add(handle)
        return handle

    def _build_provider(self, sdk_parts: list[Any]) -> None:
        try:
            own = OwnProvider(sdk_parts, self.state)
        except Exception as error:  # the SDK raises plain Exceptions, for a reader that another provider has, say
            raise ConfigurationError(f"exporters: no MeterProvider could be built of {sdk_parts}: {error}") from error
        self._exits.add(own)
        binding.join(self.state, own.provider)

    def _count(self, error: BaseException) -> None:
        self.state.counter(_ERRORS, error_type=type(error).__name__).add(1)


def _rank(given: int | None) -> int | None:
    if given is not None:
        return checks.index("rank", given)
    named = ranks.rank()
    return None if named is None else named[0]

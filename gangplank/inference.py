"""Inference: calls of a model, measured on whichever threads they are made.

This is the hot path. A call that succeeds takes no lock and calls no OpenTelemetry: it writes to cells that its thread
has for itself. Calls that fail, and calls that are traced, can afford more.
"""

from __future__ import annotations

import functools
import itertools
import logging
import weakref
from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from gangplank.catalogue import BATCH_SIZE_BOUNDS, CALL_DURATION_BOUNDS, INFERENCE, metric
from gangplank.cells import Cells
from gangplank.lanes import Lanes
from gangplank.locks import Lock
from gangplank.metrics import Kind, Phase, Union
from gangplank.naming import encodable
from gangplank.series import Counter, Histogram
from gangplank.spans import CurrentSpan
from gangplank.state import State
from gangplank.telemetry import Telemetry

_logger = logging.getLogger("gangplank.inference")
_F = TypeVar("_F", bound=Callable[..., Any])

TRACED = -1
"""What stands for the size of a batch that has none yet: the call was traced by a compiler, and served nobody."""

_MOST_ERROR_TYPES = 50
"""How many types of exceptions a model's series tell apart; any more are one. Code can make types without end."""
_OTHER_ERRORS = "_OTHER"

_IN_FLIGHT, _LAST, _DURATION = 0, 1, 2
_DURATION_SUM = _DURATION + len(CALL_DURATION_BOUNDS) + 1
_SIZE = _DURATION_SUM + 1
_SIZE_SUM = _SIZE + len(BATCH_SIZE_BOUNDS) + 1
"""Where in a thread's cells the numbers of a method are."""


class Inference:
    """What one model predicts.

    Args:
        telemetry: Where to report. It is started, if it was not, when the first call is made.
        model: The model's name. Of several models with one name, each but the first gets a number: ``net``, ``net_2``.
            A name is free again once the model that had it is gone.
        is_exact: Report under that name even if another model has it; their numbers are then added.

    Attributes:
        telemetry: Where it reports.
        model: The name under which it does.
    """

    def __init__(self, telemetry: Telemetry, model: str, *, is_exact: bool = False) -> None:
        self.telemetry = telemetry
        self.model = _claim(self, telemetry.state, model, is_exact=is_exact)
        self._error_types: set[str] = set()
        self._in_flight = telemetry.state.gauge(metric(Phase.PREDICT, "in_flight"), model=self.model)
        self._in_flight.set(0)
        self._last = telemetry.state.gauge(metric(Phase.PREDICT, "last_timestamp"), model=self.model)
        self._sizes = telemetry.state.histogram(metric(Phase.PREDICT, "batch_size"), model=self.model)
        for total in ("", "time", "call", "call_time"):
            self._total(total)  # there at 0 before the first call

    def measured(  # noqa: C901, PLR0915 - the parts of one call belong together: each function between would cost as much as they
        self,
        function: _F,
        method: str,
        *,
        is_call: bool,
        sizes: Mapping[type, Callable[[Any], int | None]],
        is_trace: Callable[[Any], bool],
        is_tracing: Callable[[], bool] = lambda: False,
    ) -> _F:
        """Return ``function`` with its calls measured; what it takes, returns and raises is not touched.

        Args:
            function: What makes a prediction.
            method: The name of the model's method that it is.
            is_call: Whether it counts as a call of the model, rather than as a prediction.
            sizes: For every type of output, what returns the number of samples in one: None if it has no batch axis,
                and :data:`TRACED` if it is a compiler's stand-in for one. ``TypeError`` means None.
            is_trace: Tells whether there is such a stand-in among arguments.
            is_tracing: Tells whether a compiler is tracing on this thread, with such a stand-in or without; asked when
                a call has failed.
        """
        state, clock, tracing = self.telemetry.state, self.telemetry.clock.monotonic, self.telemetry.tracing
        durations, batch_sizes = self._durations(method, ""), self._sizes
        samples, seconds = (self._total(name) for name in (("call", "call_time") if is_call else ("", "time")))
        lanes = state.lanes(
            (durations, _DURATION),
            (self._in_flight, _IN_FLIGHT),
            (self._last, _LAST),
            (seconds, _DURATION_SUM),
            (batch_sizes, _SIZE),
            (samples, _SIZE_SUM),
        )
        begin_thread, report = self._begin_thread, self.telemetry.trouble.report
        open_span = functools.partial(self._open_span, method, is_trace)
        failed = functools.partial(self._failed, method, lambda given: is_trace(given) or is_tracing(), seconds)

        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401, C901, PLR0912 - see above
            try:
                cells = lanes.local.cells
            except AttributeError:
                cells = begin_thread(lanes)
            began = clock()
            if began >= tracing.look_at:
                tracing.look()
            span = None if tracing.tracer is None else open_span(args, kwargs)
            cells[_IN_FLIGHT] += 1
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                cells[_IN_FLIGHT] -= 1
                failed(error, clock() - began, span, args, kwargs)
                raise
            cells[_IN_FLIGHT] -= 1
            try:
                ended = clock()
                try:
                    count = sizes[type(result)](result)
                except TypeError:
                    count = None
                if count == TRACED:
                    if span is not None:
                        span.drop()
                        span = None
                else:
                    duration = ended - began
                    cells[_DURATION + bisect_left(CALL_DURATION_BOUNDS, duration)] += 1
                    cells[_DURATION_SUM] += duration
                    cells[_LAST] = ended + tracing.unix
                    if count is not None:
                        cells[_SIZE + bisect_left(BATCH_SIZE_BOUNDS, count)] += 1
                        cells[_SIZE_SUM] += count
                    if state.listeners:
                        durations.tell(duration)
                        if count is not None:
                            batch_sizes.tell(count)
            except Exception as error:  # noqa: BLE001 - the boundary at which telemetry stops breaking the host
                report("measure a call", error, detail=True)
            finally:
                if span is not None:
                    span.end()
            return result

        return cast("_F", call)

    def _begin_thread(self, lanes: Lanes) -> Cells:
        self.telemetry.start_if_possible()
        is_unseen = self.telemetry.is_parents and not self.telemetry.state.is_shared
        if is_unseen and self.telemetry.trouble.is_new("export what a forked process predicts", ""):
            _logger.warning(
                "this process was forked from the one that started the telemetry, which does not show what %r predicts "
                "here: give its PrometheusExporter or PrometheusModel a multiprocess_dir, or start it after the fork",
                self.model,
            )
        return lanes.take()

    def _open_span(
        self, method: str, is_trace: Callable[[Any], bool], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> CurrentSpan | None:
        """Begin the span of a call, unless it is a compiler that traces."""
        with self.telemetry.trouble.contained("begin a span"):
            if not is_trace((args, kwargs)):
                attributes = {"gangplank.model": self.model, "gangplank.method": method}
                return self.telemetry.tracing.span(f"{method} {self.model}", attributes)
        return None

    def _failed(
        self,
        method: str,
        is_trace: Callable[[Any], bool],
        seconds: Counter,
        error: BaseException,
        duration: float,
        span: CurrentSpan | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        """Count a call that raised, unless it was a compiler that traced."""
        traced = False
        with self.telemetry.trouble.contained("see whether a compiler traces"):
            traced = is_trace((args, kwargs))
        if traced:
            if span is not None:
                span.drop()
            return
        try:
            error_type = self._error_type(error)
            self._durations(method, error_type).observe(duration)
            errors = metric(Phase.PREDICT, "errors")
            self.telemetry.state.counter(errors, model=self.model, method=method, error_type=error_type).add(1)
            seconds.add(duration)
            self._last.set(self.telemetry.clock.time())
            if span is not None:
                span.fail(error, error_type)
        except Exception as trouble:  # noqa: BLE001 - the user's own exception is on its way, and nothing else
            self.telemetry.trouble.report("count a call that failed", trouble, detail=True)
        finally:
            if span is not None:
                span.end()

    def _error_type(self, error: BaseException) -> str:
        name = type(error).__name__
        if name not in self._error_types and len(self._error_types) >= _MOST_ERROR_TYPES:
            return _OTHER_ERRORS
        self._error_types.add(name)
        return name

    def _durations(self, method: str, error_type: str) -> Histogram:
        row = metric(Phase.PREDICT, "duration")
        return self.telemetry.state.histogram(row, model=self.model, method=method, error_type=error_type)

    def _total(self, suffix: str) -> Counter:
        return self.telemetry.state.counter(metric(Phase.PREDICT, suffix), model=self.model)


_Claims = dict[str, set[int]]
_claims: weakref.WeakKeyDictionary[State, _Claims] = weakref.WeakKeyDictionary()
_claim_numbers = itertools.count()
_claiming = Lock()


def _claim(inference: Inference, state: State, wanted: str, *, is_exact: bool) -> str:
    """Return the name for a model, and hold it for as long as its inference is alive."""
    with _claiming:
        claims = _claims.setdefault(state, {})
        wanted = encodable(wanted)
        name, number = wanted, 2
        while name in claims and not is_exact:
            name, number = f"{wanted}_{number}", number + 1
        claim = next(_claim_numbers)
        claims.setdefault(name, set()).add(claim)
    if name != wanted:
        _logger.warning("there is a model %r already: another one is exported as %r", wanted, name)
    weakref.finalize(inference, _give_up, weakref.ref(state), name, claim).atexit = False
    return name


def is_in_use(state: State, model: str) -> bool:
    """Whether there is an inference of that name that reports to ``state``."""
    return model in _claims.get(state, ())


def _give_up(state_ref: weakref.ref[State], name: str, claim: int) -> None:
    """Let go of a name. What a model that is gone was last seen to do is not to be shown for ever."""
    state = state_ref()
    if state is None:
        return
    with _claiming:
        claims = _claims[state]
        claims[name].discard(claim)
        is_free = not claims[name]
        if is_free:
            del claims[name]
    # Without the lock: whoever reads the state may be who finds a model gone, and wait for it.
    if is_free:
        state.forget(lambda metric, attributes: metric in _READINGS and attributes["model"] == name)


_READINGS = tuple(row for row in INFERENCE if row.kind is Kind.GAUGE and row.union is Union.NEWEST)
"""What was last seen of a model."""

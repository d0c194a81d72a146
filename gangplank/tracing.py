"""The tracer of a telemetry: that of the process, if it has any, looked for now and then."""

from __future__ import annotations

import math

from opentelemetry import trace
from opentelemetry.trace import NoOpTracerProvider, ProxyTracerProvider, Tracer, TracerProvider

from gangplank.binding import package_version
from gangplank.cells import Labels
from gangplank.clock import Clock
from gangplank.distribution import Exemplar
from gangplank.metrics import Metric
from gangplank.state import State
from gangplank.trouble import Trouble

_EVERY = 0.01
"""Seconds between looks. Asking OpenTelemetry which provider the process has costs as much as a whole measured call."""


class Tracing:
    """Whether there is anyone to trace for, and what time it is: what a measured call needs to know, kept at hand.

    Args:
        provider: The TracerProvider, or None for that of the process, which may be set at any time.
        state: Its histograms keep examples once spans are made.
        clock: Where time comes from.
        trouble: Takes the errors of a provider.

    Attributes:
        tracer: Makes spans; None while nobody wants any.
        look_at: When, by the clock's ``monotonic``, :meth:`look` is to be called next.
        unix: What to add to the clock's ``monotonic`` for Unix time.
    """

    def __init__(self, provider: TracerProvider | None, state: State, clock: Clock, trouble: Trouble) -> None:
        self.tracer: Tracer | None = None
        self.look_at = -math.inf
        self.unix = 0.0
        self._given = provider
        self._provider: TracerProvider | None = None
        self._state = state
        self._clock = clock
        self._contained = trouble.contained
        self._keeps_exemplars = False

    def look(self) -> None:
        """See whether the process has a provider by now, and what time it is."""
        now = self._clock.monotonic()
        self.look_at = now + _EVERY
        self.unix = self._clock.time() - now
        with self._contained("look for a TracerProvider"):
            provider = trace.get_tracer_provider() if self._given is None else self._given
            if provider is not self._provider:
                self._take(provider)

    def _take(self, provider: TracerProvider) -> None:
        self._provider = provider
        if isinstance(provider, (ProxyTracerProvider, NoOpTracerProvider)):
            self.tracer = None
            return
        self.tracer = provider.get_tracer("gangplank", package_version())
        if not self._keeps_exemplars:
            self._keeps_exemplars = True
            self._state.listen(_Exemplars(self._state, self._clock))


class _Exemplars:
    """Keeps, of each bucket of each histogram, the last observation that was made in a sampled span."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def metric_added(self, metric: Metric) -> None:
        """Do nothing."""

    def observed(self, metric: Metric, labels: Labels, value: float, times: int) -> None:  # noqa: ARG002
        """Keep the observation, if there is a span to point to."""
        span = trace.get_current_span().get_span_context()
        if span.is_valid and span.trace_flags.sampled:
            trace_id, span_id = trace.format_trace_id(span.trace_id), trace.format_span_id(span.span_id)
            exemplar = Exemplar(trace_id, span_id, value, self._clock.time())
            self._state.histogram(metric, **dict(labels)).exemplify(exemplar)

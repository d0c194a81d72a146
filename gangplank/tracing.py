"""The tracer of a telemetry: that of the process, if it has any, looked for now and then.

A span without a parent in its own process may have one in the environment: whoever starts a job (Airflow, Argo, a
Kubernetes Job) can leave its trace there for the job to join, in variables such as ``TRACEPARENT``
(https://opentelemetry.io/docs/specs/otel/context/env-carriers/).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

from opentelemetry import baggage, context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import NoOpTracerProvider, ProxyTracerProvider, Tracer, TracerProvider
from opentelemetry.util.types import AttributeValue

from gangplank.binding import package_version
from gangplank.cells import Labels
from gangplank.clock import Clock
from gangplank.distribution import Exemplar
from gangplank.metrics import Metric
from gangplank.spans import CurrentSpan
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
        self._trouble = trouble
        self._parent: Context | None = None
        self._keeps_exemplars = False

    def look(self) -> None:
        """See whether the process has a provider by now, and what time it is."""
        now = self._clock.monotonic()
        self.look_at = now + _EVERY
        self.unix = self._clock.time() - now
        with self._trouble.contained("look for a TracerProvider"):
            provider = trace.get_tracer_provider() if self._given is None else self._given
            if provider is not self._provider:
                self._take(provider)

    def span(
        self, name: str, attributes: Mapping[str, AttributeValue], *, began: int | None = None
    ) -> CurrentSpan | None:
        """Begin a span and make it the current one; its parent is the present one or, without it, the environment's.

        Args:
            name: Its name.
            attributes: Its attributes.
            began: When it began, in nanoseconds of Unix time, if that was before.

        Returns:
            The span, or None if nobody wants any.
        """
        if self.tracer is None:
            return None
        if self._parent is None or trace.get_current_span().get_span_context().is_valid:
            return CurrentSpan(self.tracer, name, attributes, self._trouble, began=began)
        within = context.get_current()  # with the baggage that the program has, or else that of the environment
        for key, value in {} if baggage.get_all() else baggage.get_all(self._parent).items():
            within = baggage.set_baggage(key, value, within)
        return CurrentSpan(
            self.tracer, name, attributes, self._trouble, parent=self._parent, within=within, began=began
        )

    def _take(self, provider: TracerProvider) -> None:
        self._provider = provider
        if isinstance(provider, (ProxyTracerProvider, NoOpTracerProvider)):
            self.tracer = None
            return
        self.tracer = provider.get_tracer("gangplank", package_version())
        self._parent = _context_of(os.environ)
        if not self._keeps_exemplars:
            self._keeps_exemplars = True
            self._state.listen(_Exemplars(self._state, self._clock))


def _context_of(environ: Mapping[str, str]) -> Context | None:
    """Return the context that the environment carries, by the propagators that the process uses, or None."""
    names = {field: field.upper().replace("-", "_") for field in propagate.get_global_textmap().fields}
    carrier = {field: environ[name] for field, name in names.items() if name in environ}
    carried = propagate.extract(carrier, Context())
    return carried if trace.get_current_span(carried).get_span_context().is_valid else None


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

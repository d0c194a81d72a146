"""The span of one call, as a child of whatever span its caller is in."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry import context, trace
from opentelemetry.trace import Status, StatusCode, Tracer

from gangplank.trouble import Trouble


class CallSpan:
    """A span that is current from its construction until it is ended, on the thread that makes it.

    Args:
        tracer: What makes it.
        name: Its name.
        attributes: Its attributes.
        trouble: Takes what a span processor raises when the span is ended.
    """

    __slots__ = ("_span", "_token", "_trouble")

    def __init__(self, tracer: Tracer, name: str, attributes: Mapping[str, str], trouble: Trouble) -> None:
        self._trouble = trouble
        self._span = tracer.start_span(name, attributes=attributes)
        self._token = context.attach(trace.set_span_in_context(self._span))

    def fail(self, error: BaseException, error_type: str) -> None:
        """Record what the call raised, and as what type of error it is counted."""
        self._span.set_attribute("error.type", error_type)
        self._span.record_exception(error)
        self._span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))

    def drop(self) -> None:
        """Make its parent the current span again, and never end this one, so that it is not exported."""
        with self._trouble.contained("drop a span"):
            context.detach(self._token)

    def end(self) -> None:
        """End the span, and make its parent the current one again."""
        with self._trouble.contained("end a span"):
            context.detach(self._token)
            self._span.end()

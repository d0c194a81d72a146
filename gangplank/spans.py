"""A span that is the current one while something is on: what is done meanwhile becomes its children."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Status, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from gangplank.trouble import Trouble


class CurrentSpan:
    """A span that is current from its construction until it is ended, on the thread that makes it.

    Args:
        tracer: What makes it.
        name: Its name.
        attributes: Its attributes.
        trouble: Takes what a span processor raises when the span is ended.
        parent: Has its parent; by default the present context.
        within: What it is current in; by default the present context.
        began: When it began, in nanoseconds of Unix time, if that was before.
    """

    __slots__ = ("_span", "_thread", "_token", "_trouble")

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        attributes: Mapping[str, AttributeValue],
        trouble: Trouble,
        *,
        parent: Context | None = None,
        within: Context | None = None,
        began: int | None = None,
    ) -> None:
        self._trouble = trouble
        self._span = tracer.start_span(name, parent, attributes=attributes, start_time=began)
        self._thread = threading.get_ident()
        self._token = context.attach(trace.set_span_in_context(self._span, within))

    def note(self, key: str, value: AttributeValue) -> None:
        """Set one more attribute."""
        self._span.set_attribute(key, value)

    def fail(self, error: BaseException, error_type: str) -> None:
        """Record what was raised, and as what type of error it is counted."""
        self._span.set_attribute("error.type", error_type)
        self._span.record_exception(error)
        self.go_wrong(f"{type(error).__name__}: {error}")

    def go_wrong(self, description: str) -> None:
        """Record that it did not end as it should have, and how."""
        self._span.set_status(Status(StatusCode.ERROR, description))

    def drop(self) -> None:
        """Make its parent the current span again, and never end this one, so that it is not exported."""
        with self._trouble.contained("drop a span"):
            self.leave()

    def end(self) -> None:
        """End the span, and make its parent the current one again.

        By another thread, such as the one that closes a telemetry, it is only ended: contexts are a thread's own.
        """
        with self._trouble.contained("end a span"):
            if threading.get_ident() == self._thread:
                self.leave()
            self._span.end()

    def leave(self) -> None:
        """Make its parent the current span again, on the thread that has made this one.

        Where another span is current, as in another task of an event loop, that is left alone.
        """
        if trace.get_current_span() is self._span:
            context.detach(self._token)

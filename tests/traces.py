"""What finished spans look like."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext


def context_of(span: ReadableSpan) -> SpanContext:
    """Return a span's context."""
    context = span.get_span_context()
    assert context is not None
    return context


def tree(spans: InMemorySpanExporter) -> list[tuple[str, str | None]]:
    """Return the names of spans, by when they began, with those of their parents."""
    finished = sorted(spans.get_finished_spans(), key=lambda span: span.start_time or 0)
    names = {context_of(span).span_id: span.name for span in finished}
    return [(span.name, names.get(span.parent.span_id, "?") if span.parent else None) for span in finished]


def named(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    """Return the only span of that name."""
    [span] = [span for span in spans.get_finished_spans() if span.name == name]
    return span

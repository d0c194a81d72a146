"""A run as a trace: the span of the run, in it those of its epochs, and in these those of their validations."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

from opentelemetry.util.types import AttributeValue

from gangplank.metrics import Outcome, Phase
from gangplank.spans import CurrentSpan
from gangplank.tracing import Tracing
from gangplank.trouble import Trouble

EPOCH: Final = "epoch"
VALIDATION: Final = "validation"
_OPERATIONS = {Phase.TRAIN: "fit", Phase.TEST: "evaluate"}
_NONE: Mapping[str, AttributeValue] = {}


class RunSpans:
    """The spans of one run that are open; there are none if nobody traced when it began.

    Args:
        tracing: Makes them.
        trouble: Takes what goes wrong.
        phase: Training or evaluation.
        labels: Those of the run's series, the model's name among them.
    """

    def __init__(self, tracing: Tracing, trouble: Trouble, phase: Phase, labels: Mapping[str, str]) -> None:
        self._tracing = tracing
        self._trouble = trouble
        self._thread = threading.get_ident()
        self._open: list[tuple[str, CurrentSpan]] = []
        self._not_left: list[CurrentSpan] = []
        tracing.look()
        attributes = {f"gangplank.{key}": value for key, value in labels.items()}
        self._begin(f"{_OPERATIONS[phase]} {labels['model']}", attributes)

    def begin(self, name: str, attributes: Mapping[str, AttributeValue] = _NONE, *, began: int | None = None) -> None:
        """Begin a span within those that are open.

        Args:
            name: Its name.
            attributes: Its attributes.
            began: When it began, in nanoseconds of Unix time, if that was before.
        """
        if self._open:
            self._begin(name, attributes, began)

    def end(self, name: str) -> None:
        """End the innermost span of that name, and what is open in it."""
        if name in (one for one, _ in self._open):
            while self._open:
                ended, span = self._open.pop()
                span.end()
                if ended == name:
                    return

    def close(self, outcome: Outcome, error: BaseException | None) -> None:
        """End all that are open, and say on the run's how it ended.

        Args:
            outcome: How. All but success is an error.
            error: What ended it early, if anything did; it is recorded on all that it passed through.
        """
        while self._open:
            _, span = self._open.pop()
            with self._trouble.contained("say how a run ended"):
                if error is not None:
                    span.fail(error, type(error).__name__)
                if not self._open:
                    span.note("gangplank.outcome", outcome.value)
                    if error is None and outcome is not Outcome.SUCCESS:
                        span.go_wrong(outcome.value)
            span.end()
            if threading.get_ident() != self._thread:
                self._not_left.append(span)

    def leave(self) -> None:
        """Have no span of these be the current one any more, if another thread closed them."""
        if threading.get_ident() == self._thread:
            with self._trouble.contained("leave a span"):
                while self._not_left:
                    self._not_left.pop(0).leave()

    def _begin(self, name: str, attributes: Mapping[str, AttributeValue], began: int | None = None) -> None:
        with self._trouble.contained("begin a span"):
            span = self._tracing.span(name, attributes, began=began)
            if span is not None:
                self._open.append((name, span))

"""Several detectors that look at the same batches, one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, NamedTuple, Protocol

from gangplank.drift.monitor import Report


class TimedReport(Report, Protocol):
    """A report that also hears what tests cost."""

    def took(self, seconds: float) -> None:
        """Called with the seconds that a test took, whatever came of it."""
        ...


class Member(NamedTuple):
    """One detector or drift function.

    Attributes:
        function: Takes the inputs and the predictions of a batch.
        report: Hears what becomes of it.
    """

    function: Callable[[Any, Any], Any]
    report: TimedReport


class Panel:
    """One drift function, and one report, made of several. What one of them raises is no matter of the others.

    Args:
        members: Those on the panel.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = tuple(members)

    def __call__(self, x: Any, y: Any) -> tuple[Any, ...]:  # noqa: ANN401 - the model's
        """Return what each member returns of a batch, or the exception that it raises."""
        return tuple(_found(member, x, y) for member in self._members)

    def tested(self, samples: int, found: tuple[Any, ...]) -> None:
        """Tell each member's report what it found."""
        for member, one in zip(self._members, found, strict=True):
            if isinstance(one, Exception):
                member.report.failed(samples, one)
                continue
            try:
                member.report.tested(samples, one)
            except Exception as error:  # noqa: BLE001 - it is no result
                member.report.failed(samples, error)

    def dropped(self, samples: int) -> None:
        """Tell all reports that a batch was dropped."""
        for member in self._members:
            member.report.dropped(samples)

    def failed(self, samples: int, error: BaseException) -> None:
        """Tell all reports of what ended the panel's work on a batch."""
        for member in self._members:
            member.report.failed(samples, error)


def _found(member: Member, x: Any, y: Any) -> Any:  # noqa: ANN401
    began = perf_counter()
    try:
        return member.function(x, y)
    except Exception as error:  # noqa: BLE001 - told to the member's report, with the number of samples
        return error
    finally:
        member.report.took(perf_counter() - began)

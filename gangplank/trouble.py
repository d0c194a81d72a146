"""What happens to errors inside telemetry: counted, logged once per cause, never raised into the host."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager


class Trouble:
    """Collects the errors of one component.

    Args:
        logger: Where the first error of each cause goes, as a warning.
        count: Called with the exception for every error, logged or not.

    A cause is an exception type together with what was being done. Later errors of the same cause are only
    counted: a gateway that is down for a week of training must not fill the log.
    """

    def __init__(self, logger: logging.Logger, count: Callable[[BaseException], None] | None = None) -> None:
        self._logger = logger
        self._count = count
        self._seen: dict[tuple[str, str], object] = {}

    def report(self, doing: str, error: BaseException, *, cause: str | None = None, detail: bool = False) -> None:
        """Count ``error``, and log it unless its cause was logged before.

        Args:
            doing: What was being attempted, as in "could not {doing}".
            error: What went wrong.
            cause: Tells it from other errors while doing that; by default the exception's type.
            detail: Log the traceback too: for errors that mean a bug rather than a fault of the environment.
        """
        if self._count is not None:
            self._count(error)
        if self.is_new(doing, cause or type(error).__name__):
            self._logger.warning(
                "could not %s: %s: %s (counted from now on, logged once)",
                doing,
                type(error).__name__,
                error,
                exc_info=error if detail else None,
            )

    def is_new(self, doing: str, cause: str) -> bool:
        """Whether this cause is seen for the first time; it no longer is afterwards."""
        mark = object()
        # Atomic without a lock, which a fork could leave locked for ever in the child.
        return self._seen.setdefault((doing, cause), mark) is mark

    @contextmanager
    def contained(self, doing: str) -> Generator[None, None, None]:
        """Keep exceptions of the block from the host. ``KeyboardInterrupt`` and its like pass: they are the host's."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the boundary at which telemetry stops breaking the host
            self.report(doing, error, detail=True)

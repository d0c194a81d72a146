"""What a drift detector does."""

from __future__ import annotations

from typing import Any, Protocol

from gangplank.drift.result import DriftResult


class Detector(Protocol):
    """Looks at what a model is given and what it predicts, batch after batch, on one thread at a time."""

    def update(self, x: Any, y: Any) -> DriftResult | None:  # noqa: ANN401 - the model's
        """Look at a batch.

        Args:
            x: The inputs.
            y: The predictions made of them.

        Returns:
            What was found; None if nothing can be said yet.
        """
        ...

    def reset(self) -> None:
        """Forget what was seen, and begin again."""
        ...

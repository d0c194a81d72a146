"""What a drift detector does."""

from __future__ import annotations

from typing import Any, Protocol

from gangplank.drift.profile import State
from gangplank.drift.result import DriftResult


class Detector(Protocol):
    """Looks at what a model is given and what it predicts, batch after batch, on one thread at a time.

    It may also have ``name``, what it is called; ``on``, ``"predictions"`` or ``"inputs"`` if it looks at these alone;
    ``ert``, its expected run time; and ``fingerprint``, of the weights with which its reference was captured.
    """

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


class SavableDetector(Detector, Protocol):
    """One that can go on elsewhere, or later."""

    def state(self) -> State:
        """Return all that it knows, as arrays of numbers and what JSON has."""
        ...

    def load(self, state: State) -> None:
        """Take up what another one knew."""
        ...

"""What calibrated detectors have in common: what they know can be kept, and taken up without calibrating again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np

from gangplank.drift.calibration import Schedule
from gangplank.drift.profile import DriftProfile, State
from gangplank.drift.result import DriftResult
from gangplank.drift.rows import Choice, Subject
from gangplank.errors import ConfigurationError


class Calibrated(ABC):
    """A detector that is calibrated to an expected run time.

    Attributes:
        name: What the detector is called.
        on: What it looks at.
        ert: The expected run time: observations between false alarms, on average.
        schedule: When it looks at its window.
        threshold: What the statistic must exceed for a drift to be detected.
        fingerprint: Of the weights with which its reference was captured, if that is a profile that knows it.
    """

    kind: ClassVar[str]
    """What it is called where states are kept."""

    name: str
    on: Subject
    ert: int
    schedule: Schedule
    threshold: float
    fingerprint: str | None

    @abstractmethod
    def update(self, x: Any, y: Any) -> DriftResult:  # noqa: ANN401 - the model's
        """Look at a batch."""

    @abstractmethod
    def reset(self) -> None:
        """Forget what was seen, and begin again."""

    def state(self) -> dict[str, Any]:
        """Return all that it knows, as arrays of numbers and what JSON has: its calibration, and what it saw so far.

        Functions are not in it.
        """
        return {
            "kind": self.kind,
            "name": self.name,
            "on": None if callable(self.on) else self.on,
            "ert": self.ert,
            "window": self.schedule.window,
            "stride": self.schedule.stride,
            "threshold": self.threshold,
            "fingerprint": self.fingerprint,
            **self._state(),
        }

    def load(self, state: State) -> None:
        """Take up what another of its kind knew. A function that this one was made with stays.

        Raises:
            ConfigurationError: the state is not of this kind.
        """
        taken = self.from_state(state, on=self.on if callable(self.on) else None)
        vars(self).update(vars(taken))

    @classmethod
    def from_state(cls, state: State, *, on: Subject | None = None) -> Self:
        """Return a detector that goes on where another one was, without calibrating it again.

        Args:
            state: What its :meth:`state` returned.
            on: What to look at, if that is for a function to choose.

        Raises:
            TypeError: ``on`` is nothing that can be looked at.
            ConfigurationError: the state is not of this kind, or ``on`` is missing.
        """
        if state.get("kind") != cls.kind:
            raise ConfigurationError(f"state must be of the kind {cls.kind!r}, got {state.get('kind')!r}")
        subject = state.get("on") if on is None else on
        if subject is None:
            raise ConfigurationError("on must be given, the function that chooses what to look at: no state holds one")
        Choice(subject)
        made = cls.__new__(cls)
        made.on = subject
        try:
            made._begin(state)  # noqa: SLF001 - of this class
            made._take(state)  # noqa: SLF001 - of this class
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(f"state is no {cls.__name__}'s, or not whole: {error!r}") from error
        return made

    def _begin(self, state: State) -> None:
        self.name = str(state["name"])
        self.ert = int(state["ert"])
        self.schedule = Schedule(self.ert, int(state["window"]), int(state["stride"]))
        self.threshold = float(state["threshold"])
        self.fingerprint = None if state["fingerprint"] is None else str(state["fingerprint"])

    @abstractmethod
    def _state(self) -> dict[str, Any]:
        """Return what only this kind knows."""

    @abstractmethod
    def _take(self, state: State) -> None:
        """Take it up."""


def fingerprint_of(reference: Any) -> str | None:  # noqa: ANN401 - what NumPy understands, or a profile
    """Return with which weights a reference was captured, if that is known."""
    return reference.fingerprint if isinstance(reference, DriftProfile) else None


def generator(state: Any) -> np.random.Generator:  # noqa: ANN401 - its own
    """Return a random generator that goes on where another one was."""
    random = np.random.default_rng()
    random.bit_generator.state = state
    return random

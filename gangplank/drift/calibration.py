"""One contract for all detectors: without drift, a false alarm comes every so many observations, on average.

Detectors are simulated without drift, on streams made of the reference. A stream begins with a window's worth of
observations, the burn-in, in which the window comes to hold the stream's own; what follows tells how often a
statistic exceeds a threshold for the first time.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gangplank import checks
from gangplank.errors import ConfigurationError

Floats = npt.NDArray[np.float64]

EVENTS = 400
"""False alarms that automatic settings simulate: the threshold's expected run time is then good to 5 %."""
FEWEST_EVENTS = 10
FEWEST_STREAMS, MOST_STREAMS = 500, 50_000
_FEW_EVENTS = 100
_QUANTILES = 2001

_log = logging.getLogger("gangplank.drift")


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a detector looks at its window, and how seldom it is to be wrong.

    Attributes:
        ert: Expected run time: the mean number of observations between false alarms.
        window: Observations in the window.
        stride: Observations between evaluations, counted from the beginning or the last reset.

    Raises:
        TypeError: one of them is no whole number.
        ConfigurationError: one is out of range.
    """

    ert: int
    window: int
    stride: int

    def __post_init__(self) -> None:
        checks.count("stride", self.stride)
        if checks.count("window", self.window) < 2:  # noqa: PLR2004 - no sample has a spread below that
            raise ConfigurationError(f"window must be at least 2, got {self.window}")
        if self.stride > self.window:
            raise ConfigurationError(f"stride must be at most the window, {self.window}, got {self.stride}")
        if checks.count("ert", self.ert) < max(self.window, 2 * self.stride):
            raise ConfigurationError(f"ert must be at least the window, {self.window}, got {self.ert}")

    @classmethod
    def of(cls, ert: int, window: int, stride: int | None) -> Schedule:
        """Return a schedule; if ``stride`` is None, of 20 evaluations a window."""
        return cls(ert, window, max(1, checks.count("window", window) // 20) if stride is None else stride)

    @property
    def per_alarm(self) -> float:
        """Evaluations between false alarms."""
        return self.ert / self.stride


def streams(schedule: Schedule, observations: int, asked: int | str = "auto") -> int:
    """Return how many streams to simulate.

    Args:
        schedule: The detector's.
        observations: How many each stream has after its burn-in.
        asked: The number the user wants, or ``"auto"``.

    Raises:
        TypeError: ``asked`` is neither of these.
        ConfigurationError: hardly a false alarm would be seen in so few.
    """
    if isinstance(asked, str):
        if asked != "auto":
            raise TypeError(f"n_streams must be 'auto' or a whole number, not {asked!r}")
        number = round(min(max(EVENTS * schedule.ert / observations, FEWEST_STREAMS), MOST_STREAMS))
    else:
        number = checks.count("n_streams", asked)
    if number * observations < FEWEST_EVENTS * schedule.ert:
        least = math.ceil(FEWEST_EVENTS * schedule.ert / observations)
        raise ConfigurationError(f"n_streams must be at least {least} for an ert of {schedule.ert}, got {asked!r}")
    events = number * observations / schedule.ert
    if events < _FEW_EVENTS:
        _log.warning(
            "The expected run time of %d may be off by %.0f %%: in %d simulated streams there are %.0f false alarms. "
            "More streams (n_streams) or a larger window make it more exact.",
            schedule.ert,
            100 / math.sqrt(events),
            number,
            events,
        )
    return number


def threshold(burn_in: Floats, both: Floats, evaluations: int, per_alarm: float) -> float:
    """Return the threshold whose false alarms come every ``per_alarm`` evaluations.

    It is one constant: of the streams that are below it all through the burn-in, as many stay below it afterwards
    as would if each evaluation was a false alarm with a probability of ``1 / per_alarm``.

    Args:
        burn_in: Each simulated stream's largest statistic in the burn-in.
        both: Each stream's largest statistic in all its evaluations.
        evaluations: How many there are after the burn-in.
        per_alarm: Evaluations between false alarms.
    """
    candidates, surviving = np.unique(both, return_counts=True)
    burnt_in = np.searchsorted(np.sort(burn_in), candidates, side="right")
    missed = np.cumsum(surviving) / burnt_in - (1 - 1 / per_alarm) ** evaluations
    below = np.flatnonzero(missed < 0)  # the last is taken: the first ones are a matter of few streams
    if not below.size:
        return float(candidates[0])
    last = below[-1]  # never the largest candidate, which all survive
    return float(candidates[last if -missed[last] < missed[last + 1] else last + 1])


def quantiles(statistics: Floats) -> Floats:
    """Return what of simulated statistics is kept for ``tail``."""
    return np.quantile(statistics, np.linspace(0, 1, _QUANTILES))


def tail(quantiles: Floats, statistic: float) -> float:
    """Return the p-value of a statistic: its rank among the simulated ones' quantiles, which is never 0."""
    below = int(np.searchsorted(quantiles, statistic, side="left"))
    return (len(quantiles) - below + 1) / (len(quantiles) + 1)

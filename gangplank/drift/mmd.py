"""Drift of whole rows, whatever its kind: the maximum mean discrepancy between a sliding window and a reference."""

from __future__ import annotations

import logging
import math
from numbers import Real
from typing import Any

import numpy as np

from gangplank import checks
from gangplank.drift.calibration import Schedule, streams, tail
from gangplank.drift.mmd_kernel import Kernel
from gangplank.drift.mmd_streams import WINDOWS, Reference, Sampling, Streams, thinned
from gangplank.drift.mmd_window import Window
from gangplank.drift.profile import State
from gangplank.drift.result import DriftResult
from gangplank.drift.rows import Floats, Rows, Subject
from gangplank.drift.sliding import Blocks
from gangplank.drift.states import Calibrated, fingerprint_of, generator
from gangplank.errors import ConfigurationError

_FEWEST_WINDOWS = 2 * WINDOWS
_ENOUGH_WINDOWS = 20
_MOST_DRAWS = 1000
"""How often a window to begin with is drawn. One of a calibrated threshold is found at once."""
_MOST_TOGETHER = 16
"""Strides that are looked at together."""

_log = logging.getLogger("gangplank.drift")


class MMDDrift(Calibrated):
    """Detects that rows are distributed differently from a reference: a kernel two-sample test, made online.

    The squared maximum mean discrepancy between the last ``window`` rows and the reference is evaluated every
    ``stride`` rows. It notices any change of the distribution, in one column or between columns. The threshold comes
    from simulated streams of the reference's own rows: without drift, ``ert`` rows pass between false alarms on
    average, however they come in batches. After a detection the window is filled with rows of the reference again.

    Gretton et al., "A Kernel Two-Sample Test", JMLR 13 (2012), has the statistic and the bandwidth; Cobb, Van Looveren
    and Klaise, "Sequential Multivariate Change Detection with Calibrated and Memoryless False Detection Rates",
    AISTATS 2022, the idea of calibrating with the reference's rows.

    Use it on one thread at a time.

    Args:
        reference: Rows of what ``on`` chooses, from when nothing drifted, or a :class:`DriftProfile`; at least 8
            windows' worth, better 20.
        ert: Expected run time: rows between false alarms.
        window: Rows compared with the reference. More see smaller drifts, later.
        bandwidth: The distance at which rows are similar still; ``"median"`` is the reference's median distance.
        max_reference: Rows of the reference in use. More are no better: the window's own chance is far larger.
        n_streams: Simulated streams; ``"auto"`` is enough for an expected run time that is right to 5 %, or it is
            said in the log what it is right to.
        stride: Rows between evaluations; None for 20 evaluations a window.
        calibration: ``"iid"`` if rows are independent; ``"blocks"`` if neighbours are alike, and the reference is in
            its order of arrival.
        project: Numbers to project rows to, at random, for rows of more than about 64.
        on: What to look at: ``"predictions"``, ``"inputs"``, or a function of both that returns an array.
        seed: For reproducible results.
        name: What to call it.

    Attributes:
        name: What it is called.
        on: What it looks at.
        ert: The expected run time.
        threshold: What the statistic must exceed for a drift to be detected.
        fingerprint: Of the weights that a profile was captured with, if the reference is one.

    Raises:
        TypeError: an argument has the wrong type.
        ConfigurationError: an argument has a value that is not allowed, or the reference is too small.
    """

    kind = "mmd"

    def __init__(
        self,
        reference: Any,  # noqa: ANN401 - what NumPy understands
        *,
        ert: int,
        window: int = 200,
        bandwidth: float | str = "median",
        max_reference: int = 10_000,
        n_streams: int | str = "auto",
        stride: int | None = None,
        calibration: Sampling = "iid",
        project: int | None = None,
        on: Subject = "predictions",
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        self.name = "mmd" if name is None else checks.text("name", name)
        self.on: Subject = on
        self.ert = ert
        self.fingerprint = fingerprint_of(reference)
        self.schedule = Schedule.of(ert, window, stride)
        distance = _bandwidth(bandwidth)
        if calibration not in ("iid", "blocks"):
            raise ConfigurationError(f"calibration must be 'iid' or 'blocks', got {calibration!r}")
        self._sampling: Sampling = calibration
        number = streams(self.schedule, (WINDOWS - 2) * window, n_streams)
        self._rng = np.random.default_rng(None if seed is None else checks.index("seed", seed))
        self._rows = Rows(reference, on)
        if project is not None and checks.count("project", project) > self._rows.width:
            raise ConfigurationError(f"project must be at most the rows' width, {self._rows.width}, got {project}")
        most = checks.count("max_reference", max_reference)
        rows = thinned(self._rows.reference, most, window, calibration, self._rng)
        _check_size(len(rows), len(self._rows.reference), most, window)
        del self._rows.reference  # which may be large
        self._kernel = Kernel(rows, distance, project, self._rng)
        self._reference = Reference.of(self._kernel.points(rows))
        self._streams = Streams(self._reference, self.schedule, calibration)
        self.threshold, self._quantiles = self._streams.calibrate(number, self._rng)
        self._together = 1
        self.reset()

    def update(self, x: Any, y: Any) -> DriftResult:  # noqa: ANN401 - the model's
        """Look at a batch.

        Args:
            x: The inputs.
            y: The predictions made of them.

        Returns:
            What was found.

        Raises:
            TypeError: what to look at holds no numbers.
            ConfigurationError: its rows are not as wide as the reference's.
        """
        rows, skipped = self._rows.of(x, y)
        detected, strides = 0, list(self._blocks.cut(rows))
        while strides:
            done, is_drift = self._evaluate(np.stack(strides[: self._together]))
            detected += is_drift
            strides = strides[done:]
        return DriftResult(
            drift_detected=detected,
            p_value=None if self._statistic is None else tail(self._quantiles, self._statistic),
            test_statistic=self._statistic,
            threshold=self.threshold,
            observations=len(rows),
            skipped=skipped,
            window_fill=1.0,
        )

    def reset(self) -> None:
        """Forget what was seen, and begin with a window of the reference's rows."""
        self._statistic: float | None = None
        self._blocks = Blocks(self.schedule.stride)
        self._begin_window()

    def _evaluate(self, strides: Floats) -> tuple[int, bool]:
        """Evaluate the window after each stride until there is a drift; return after how many that was, and if it was.

        Most of the work is done for several strides at once, in few and long steps: in between, the interpreter is
        taken from who predicts. Each is a matrix of its own all the same: the same rows make the same statistic to the
        last digit, however they came.
        """
        points = self._kernel.points(strides)
        for done, (entering, nearness) in enumerate(zip(points, self._window.nearness(points), strict=True), 1):
            self._window.push(entering, nearness)
            self._statistic = self._window.statistic
            if self._statistic > self.threshold:
                self._begin_window()
                return done, True
        self._together = min(2 * self._together, _MOST_TOGETHER)
        return len(points), False

    def _begin_window(self) -> None:
        self._window = self._begun()
        self._together = 1  # where a drift stays, all but the first strides would be looked at in vain

    def _begun(self) -> Window:
        # At least one of the simulated streams began below the threshold, unless that came with a file.
        for _ in range(_MOST_DRAWS - 1):
            window = self._drawn()
            if window.statistic <= self.threshold:
                return window
        return self._drawn()

    def _drawn(self) -> Window:
        return Window(self._reference, self._streams.draw(self._rng), self.schedule.window)

    def _state(self) -> dict[str, Any]:
        return {
            "sampling": self._sampling,
            "width": self._rows.width,
            "random": self._rng.bit_generator.state,
            "statistic": self._statistic,
            "quantiles": self._quantiles,
            "waiting": self._blocks.waiting(),
            **self._kernel.state(),
            **self._reference.state(),
            **self._window.state(),
        }

    def _take(self, state: State) -> None:
        self._sampling = "blocks" if state["sampling"] == "blocks" else "iid"
        self._rows = Rows.of_width(int(state["width"]), self.on)
        self._rng = generator(state["random"])
        self._statistic = None if state["statistic"] is None else float(state["statistic"])
        self._quantiles = state["quantiles"]
        self._kernel = Kernel.of(state)
        self._reference = Reference(state["points"], state["sums"])
        self._streams = Streams(self._reference, self.schedule, self._sampling)
        self._window = Window.of(self._reference, state, self.schedule.window)
        self._together = 1
        self._blocks = Blocks(self.schedule.stride)
        self._blocks.take(state["waiting"])


def _bandwidth(value: float | str) -> float | None:
    """Return a bandwidth as a number, or None for the median."""
    if value == "median":
        return None
    if isinstance(value, (bool, str)) or not isinstance(value, Real):
        raise TypeError(f"bandwidth must be 'median' or a number, not {value!r}")
    if not 0 < value < math.inf:
        raise ConfigurationError(f"bandwidth must be 'median' or a number above 0, got {value!r}")
    return float(value)


def _check_size(rows: int, given: int, most: int, window: int) -> None:
    if rows < _FEWEST_WINDOWS * window:
        argument, got = ("reference", f"{given} rows") if given < most else ("max_reference", str(most))
        raise ConfigurationError(
            f"{argument} must be at least {_FEWEST_WINDOWS} windows of {window}, {_FEWEST_WINDOWS * window} rows, "
            f"got {got}"
        )
    if rows < _ENOUGH_WINDOWS * window:
        _log.warning(
            "A reference of %d rows is small for a window of %d: the expected run time may be off by a third. "
            "From %d rows it is right to about a tenth.",
            rows,
            window,
            _ENOUGH_WINDOWS * window,
        )

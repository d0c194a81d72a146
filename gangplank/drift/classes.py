"""The classes that a model chooses: whether their mix is the reference's."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from gangplank import checks
from gangplank.drift.class_ids import ClassCells, ClassIds, Ids, Rule
from gangplank.drift.profile import State
from gangplank.drift.result import DriftResult
from gangplank.drift.rows import Subject
from gangplank.drift.simulation import Simulation, Singles, check_size, threshold
from gangplank.drift.sliding import Blocks, SlidingCounts, schedule
from gangplank.drift.states import Calibrated, fingerprint_of
from gangplank.drift.tables import Tables
from gangplank.drift.two_samples import chi_square, chi_square_tail

_OBSERVATIONS_PER_CELL = 5

_log = logging.getLogger("gangplank.drift")


class ClassDrift(Calibrated):
    """Detects that a model chooses some classes more often, or less, than it did of the reference.

    The last ``window`` predictions are compared with the reference by Pearson's chi-square test of homogeneity
    (Pearson, On the probability that two independent distributions of frequency are really samples from the same
    population, Biometrika 1911). Where that differs by more than chance has it once in ``ert`` predictions, a drift is
    counted, and the window is emptied. Use it on one thread at a time.

    Args:
        reference: Predicted probabilities, or whole numbers that stand for classes, from when nothing drifted, or a
            :class:`DriftProfile`. At least 8 times as many as the window has; 20 times are advised.
        ert: Expected run time: how many observations there are between false alarms, on average.
        window: How many observations are compared.
        classes: ``"argmax"`` takes the largest of each row's probabilities, and numbers that stand alone for classes. A
            number is the threshold above which one probability means class 1, and not 0. A function gets the batch and
            returns a whole number for each sample.
        min_expected: Classes expected less often than that in a window are counted together, with those unknown.
        stride: How many observations there are between evaluations; a divisor of ``window``. By default the largest
            that is at most a 20th of it.
        n_streams: How many streams are simulated to find the threshold; ``"auto"`` has enough of them.
        on: What to look at: ``"predictions"``, ``"inputs"``, or a function of both that returns an array.
        seed: Makes the threshold reproducible.
        name: What the detector is called.

    Attributes:
        name: What the detector is called.
        on: What it looks at.
        ert: The expected run time.
        schedule: When it looks at its window.
        threshold: What the statistic must exceed for a drift to be detected.
        fingerprint: Of the weights that a profile was captured with, if the reference is one.

    Raises:
        TypeError: an argument has the wrong type; the reference holds no numbers.
        ConfigurationError: an argument is out of range; the reference is too small.
    """

    kind = "classes"

    def __init__(
        self,
        reference: Any,  # noqa: ANN401 - what NumPy understands
        *,
        ert: int = 100_000,
        window: int = 1000,
        classes: Rule = "argmax",
        min_expected: int = 5,
        stride: int | None = None,
        n_streams: int | str = "auto",
        on: Subject = "predictions",
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        self.name = "classes" if name is None else checks.text("name", name)
        self.on: Subject = on
        self.ert = ert
        self.fingerprint = fingerprint_of(reference)
        self.schedule = schedule(ert, window, stride)
        self._ids = ClassIds(classes, on)
        ids, skipped = self._ids.of_reference(reference)
        if skipped:
            _log.warning(
                "Of the reference, %d of %d rows are left out: they are not finite.", skipped, skipped + len(ids)
            )
        check_size(len(ids), window)
        self._cells = ClassCells(ids, window, checks.count("min_expected", min_expected))
        self._references = len(ids)
        self._shares = self._cells.reference / len(ids)
        self._window = self._emptied()
        self.threshold = self._calibrated(
            ids, n_streams, np.random.default_rng(None if seed is None else checks.index("seed", seed))
        )
        self.reset()

    def reset(self) -> None:
        """Empty the window, and begin again."""
        self._blocks = Blocks(self.schedule.stride)
        self._window.clear()
        self._p_value: float | None = None
        self._statistic: float | None = None

    def update(self, x: Any, y: Any) -> DriftResult:  # noqa: ANN401 - the model's
        """Look at a batch.

        Args:
            x: The inputs.
            y: The predictions made of them.

        Raises:
            TypeError: what to look at holds no numbers.
            ConfigurationError: it has no shape of which classes can be made, or no whole numbers.
        """
        ids, skipped = self._ids.of(x, y)
        blocks = self._blocks.cut(self._cells.of(ids))
        detected = sum(self._detects(np.bincount(block, minlength=self._cells.width)) for block in blocks)
        return DriftResult(
            drift_detected=detected,
            p_value=self._p_value,
            test_statistic=self._statistic,
            threshold=self.threshold,
            observations=len(ids),
            skipped=skipped,
            window_fill=self._window.fill,
        )

    def _emptied(self) -> SlidingCounts:
        return SlidingCounts(self.schedule, _OBSERVATIONS_PER_CELL * int(np.count_nonzero(self._shares)))

    def _detects(self, counts: Ids) -> bool:
        self._window.add(counts)
        if not self._window.is_enough:
            return False
        total = self._window.total
        self._statistic = float(chi_square(total, self._window.observations, self._shares, self._references))
        degrees = int(np.count_nonzero(total + self._shares)) - 1
        self._p_value = chi_square_tail(self._statistic, degrees)
        is_drift = self._statistic > self.threshold
        if is_drift:
            self._window.clear()
        return is_drift

    def _calibrated(self, ids: Ids, n_streams: int | str, random: np.random.Generator) -> float:
        tables = Tables(1, self._cells.width, is_cumulative=False)
        # By Laplace's rule of succession, the next one may be of a class that nobody saw.
        cells = np.append(self._cells.of(ids), self._cells.width - 1)[:, np.newaxis]
        simulation = Simulation(tables, cells, self.schedule, random)
        shares = self._shares.astype(np.float32)

        def statistic(counts: Singles, observations: int) -> npt.NDArray[Any]:
            return chi_square(counts, observations, shares, self._references)[:, 0]

        first = self._window.least // self.schedule.stride
        return threshold(simulation.statistics(statistic, first, n_streams), self.schedule)

    def _state(self) -> dict[str, Any]:
        return {
            "references": self._references,
            "counts": self._window.blocks(),
            "waiting": self._blocks.waiting(),
            "statistic": self._statistic,
            "p_value": self._p_value,
            **self._ids.state(),
            **self._cells.state(),
        }

    def _take(self, state: State) -> None:
        self._ids = ClassIds.of_state(state, self.on)
        self._cells = ClassCells.of_state(state)
        self._references = int(state["references"])
        self._shares = self._cells.reference / self._references
        self._window = self._emptied()
        self._window.take(state["counts"])
        self._blocks = Blocks(self.schedule.stride)
        self._blocks.take(state["waiting"])
        self._statistic, self._p_value = state["statistic"], state["p_value"]

"""Columns, each by itself: whether one of them is spread otherwise than in the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gangplank import checks
from gangplank.drift import calibration
from gangplank.drift.binning import Bins
from gangplank.drift.column_statistics import BINS, ORDERED, ColumnStatistic, Name
from gangplank.drift.profile import State
from gangplank.drift.result import DriftResult
from gangplank.drift.rows import Floats, Rows, Subject
from gangplank.drift.simulation import Simulation, Singles, check_size, threshold
from gangplank.drift.sliding import Blocks, SlidingCounts, schedule
from gangplank.drift.states import Calibrated, fingerprint_of
from gangplank.drift.tables import Tables
from gangplank.errors import ConfigurationError

MOST_COLUMNS = 10
FEWEST_BINS = 2
_WINDOWS = 500
"""How many are simulated to learn the scale of each column."""
_ROUNDING = 1e-4
"""Simulated statistics are in single precision. Many are alike, where columns have few values."""


class FeatureDrift(Calibrated):
    """Detects that a column of the inputs, or of the predictions, is spread otherwise than in the reference.

    Each column is cut into cells that hold about as much of the reference each, and the last ``window`` rows are
    compared with it by one statistic per column. The largest of these, in standard deviations from its mean, decides.
    Its threshold is simulated with whole rows of the reference, so that columns may depend on one another. Where it
    is exceeded, a drift is counted, and the window is emptied. Use it on one thread at a time.

    Args:
        reference: Rows from when nothing drifted, or a :class:`DriftProfile`. At least 8 times as many as the window
            has; 20 times are advised.
        statistic: ``"ks"``: the largest difference of the distribution functions (Kolmogorov 1933, Smirnov 1939).
            ``"wasserstein"``: the area between them, of which far values make more. ``"psi"``: the population stability
            index, a symmetric Kullback-Leibler divergence. ``"chi2"``: Pearson's chi-square (1911), for columns of few
            values without an order.
        ert: Expected run time: how many observations there are between false alarms, on average.
        window: How many rows are compared.
        bins: How many cells a column is cut into; by default 64, or 10 for the PSI. A value that the reference often
            has gets its own; so does every value of a column that has few.
        stride: How many rows there are between evaluations; a divisor of ``window``. By default the largest that is
            at most a 20th of it.
        n_streams: How many streams are simulated to find the threshold; ``"auto"`` has enough of them. It takes time in
            proportion to them, and to the columns.
        names: What the columns are called; by default their numbers, from 0.
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

    kind = "features"

    def __init__(
        self,
        reference: Any,  # noqa: ANN401 - what NumPy understands
        *,
        statistic: Name = "ks",
        ert: int = 100_000,
        window: int = 1000,
        bins: int | None = None,
        stride: int | None = None,
        n_streams: int | str = "auto",
        names: Sequence[str] | None = None,
        on: Subject = "inputs",
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        self.name = "features" if name is None else checks.text("name", name)
        self.on: Subject = on
        self.ert = ert
        self.fingerprint = fingerprint_of(reference)
        random = np.random.default_rng(None if seed is None else checks.index("seed", seed))
        self.schedule = schedule(ert, window, stride)
        if statistic not in BINS:
            raise ConfigurationError(f"statistic must be one of {', '.join(map(repr, BINS))}, got {statistic!r}")
        self._rows = Rows(reference, on)
        rows = self._rows.reference
        self._names = _names(names, self._rows.width)
        check_size(len(rows), window)
        self._bins = Bins(rows, _bins(bins, statistic), is_ordered=statistic in ORDERED)
        self._window = SlidingCounts(self.schedule, 0)
        self._calibrate(rows, statistic, n_streams, random)
        del self._rows.reference  # which may be large
        self.reset()

    def reset(self) -> None:
        """Empty the window, and begin again."""
        self._blocks = Blocks(self.schedule.stride)
        self._window.clear()
        self._p_value: float | None = None
        self._largest: float | None = None

    def update(self, x: Any, y: Any) -> DriftResult:  # noqa: ANN401 - the model's
        """Look at a batch.

        Args:
            x: The inputs.
            y: The predictions made of them.

        Raises:
            TypeError: what to look at holds no numbers.
            ConfigurationError: its rows are not as wide as the reference's.
        """
        rows, skipped = self._rows.of(x, y)
        drifts = [columns for block in self._blocks.cut(rows) if (columns := self._drifted(block))]
        return DriftResult(
            drift_detected=len(drifts),
            p_value=self._p_value,
            test_statistic=self._largest,
            threshold=self.threshold,
            observations=len(rows),
            skipped=skipped,
            window_fill=self._window.fill,
            columns=tuple(dict.fromkeys(name for columns in drifts for name in columns))[:MOST_COLUMNS],
        )

    def _drifted(self, rows: Floats) -> list[str]:
        """Take in a block, and return the columns that drifted, the worst first."""
        self._window.add(self._tables.of(self._tables.numbered(self._bins.of(rows))[np.newaxis])[0])
        if not self._window.is_enough:
            return []
        counts, observations = self._window.total, self._window.observations
        by_column = self._statistic.standardized(counts.astype(np.float64), observations, self._shares)
        self._largest = float(by_column.max())
        self._p_value = calibration.tail(self._quantiles, self._largest - _ROUNDING)
        drifted = [int(column) for column in np.argsort(-by_column) if by_column[column] > self.threshold]
        if drifted:
            self._window.clear()
        return [self._names[column] for column in drifted[:MOST_COLUMNS]]

    def _tables_for(self, name: Name) -> Tables:
        return Tables(self._rows.width, self._bins.width, is_cumulative=name in ORDERED)

    def _calibrate(self, rows: Floats, name: Name, n_streams: int | str, random: np.random.Generator) -> None:
        cells = self._bins.of(rows)
        self._tables = self._tables_for(name)
        self._shares = self._tables.of(self._tables.numbered(cells)[np.newaxis])[0] / len(rows)
        simulation = Simulation(self._tables, cells, self.schedule, random)
        shares = self._shares.astype(np.float32)
        distances = self._bins.distances(rows) if name == "wasserstein" else None
        raw = ColumnStatistic.raw(name, len(rows), distances)
        windows = simulation.windows(_WINDOWS)
        scaled = [raw.scaled(counts, self.schedule.window, shares) for counts in windows]
        self._statistic = raw.fitted(np.concatenate(scaled), self.schedule.window)

        def largest(counts: Singles, observations: int) -> npt.NDArray[Any]:
            return np.asarray(self._statistic.standardized(counts, observations, shares).max(axis=-1))

        first = self._window.least // self.schedule.stride
        simulated = simulation.statistics(largest, first, n_streams)
        self.threshold = threshold(simulated, self.schedule)
        strides = self.schedule.window // self.schedule.stride
        self._quantiles = calibration.quantiles(
            simulated[:, strides - 1 :: strides].astype(np.float64)
        )  # of full windows

    def _state(self) -> dict[str, Any]:
        return {
            "names": list(self._names),
            "shares": self._shares,
            "quantiles": self._quantiles,
            "counts": self._window.blocks(),
            "waiting": self._blocks.waiting(),
            "largest": self._largest,
            "p_value": self._p_value,
            **self._bins.state(),
            **self._statistic.state(),
        }

    def _take(self, state: State) -> None:
        self._names = tuple(map(str, state["names"]))
        self._rows = Rows.of_width(len(self._names), self.on)
        self._bins = Bins.of_state(state)
        self._statistic = ColumnStatistic.of(state)
        self._tables = self._tables_for(self._statistic.name)
        self._shares, self._quantiles = state["shares"], state["quantiles"]
        self._window = SlidingCounts(self.schedule, 0)
        self._window.take(state["counts"])
        self._blocks = Blocks(self.schedule.stride)
        self._blocks.take(state["waiting"])
        self._largest, self._p_value = state["largest"], state["p_value"]


def _names(names: Sequence[str] | None, width: int) -> tuple[str, ...]:
    if names is None:
        return tuple(map(str, range(width)))
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise TypeError(f"names must be a list of strings, not {names!r}")
    if len(names) != width:
        raise ConfigurationError(f"names must be {width}, one for each column, got {len(names)}")
    return tuple(checks.text(f"names[{index}]", name) for index, name in enumerate(names))


def _bins(bins: int | None, statistic: Name) -> int:
    if bins is None:
        return BINS[statistic]
    if checks.count("bins", bins) < FEWEST_BINS:
        raise ConfigurationError(f"bins must be at least {FEWEST_BINS}, got {bins}")
    return bins

"""Statistics of two samples from counts: SciPy's, where SciPy has them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from gangplank.drift.two_samples import (
    chi_square,
    chi_square_tail,
    kolmogorov_smirnov,
    stability_index,
    wasserstein,
)

Samples = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def samples(seed: int, cells: int = 7) -> Samples:
    """Return in which cell 300 and 5000 numbers lie, spread differently."""
    random = np.random.default_rng(seed)
    window = random.choice(cells, p=random.dirichlet(np.full(cells, 3.0)), size=300)
    return window, random.choice(cells, p=random.dirichlet(np.full(cells, 9.0)), size=5000)


def counted(both: Samples, cells: int = 7) -> list[npt.NDArray[np.float64]]:
    """Return a table of one column for each sample."""
    return [np.bincount(sample, minlength=cells).astype(np.float64)[np.newaxis] for sample in both]


@pytest.mark.parametrize("seed", range(5))
def test_chi_square_is_that_of_a_contingency_table(seed: int) -> None:
    """It is SciPy's, and so is its probability."""
    window, reference = counted(samples(seed))
    expected = stats.chi2_contingency(np.vstack([window, reference]), correction=False)
    statistic = chi_square(window, 300, reference / 5000, 5000)
    assert statistic[0] == pytest.approx(expected.statistic, rel=1e-9)
    assert chi_square_tail(float(statistic[0]), 6) == pytest.approx(expected.pvalue, rel=1e-9)


def test_one_odd_observation_is_no_large_chi_square() -> None:
    """What was never seen is divided by 1, and not by the hundredth that is expected: 1 of it makes 2, and not 100."""
    window, reference = np.array([[999.0, 1.0]]), np.array([[1.0, 0.0]])
    assert 1 < chi_square(window, 1000, reference, 100_000)[0] < 2.1
    unseen = [chi_square(np.array([[1000.0 - new, new]]), 1000, reference, 100_000)[0] for new in (3.0, 6.0)]
    assert 9 < unseen[0] < 15
    assert unseen[1] > 36


@pytest.mark.parametrize("seed", range(5))
def test_kolmogorov_smirnov_is_that_of_the_cells(seed: int) -> None:
    """It is SciPy's, of numbers that are known by their cells alone."""
    both = samples(seed)
    window, reference = (table.cumsum(axis=-1) for table in counted(both))
    expected = stats.ks_2samp(*both).statistic
    assert kolmogorov_smirnov(window, 300, reference / 5000, 5000)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_wasserstein_is_that_of_where_the_cells_lie(seed: int) -> None:
    """It is SciPy's, of numbers that all lie where their cells do."""
    both = samples(seed)
    places = np.sort(np.random.default_rng(seed).normal(size=7))
    window, reference = (table.cumsum(axis=-1) for table in counted(both))
    distances = np.append(np.diff(places), 0.0)[np.newaxis]
    expected = stats.wasserstein_distance(*(places[sample] for sample in both))
    statistic = wasserstein(distances)(window, 300, reference / 5000, 5000)
    assert statistic[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_the_stability_index_is_two_entropies(seed: int) -> None:
    """It is SciPy's relative entropy, both ways, of shares raised by half an observation, which SciPy makes 1 again."""
    window, reference = (table[0] / table.sum() for table in counted(samples(seed)))
    raised = [shares + 0.5 / 300 for shares in (window, reference)]
    expected = (stats.entropy(*raised) + stats.entropy(*reversed(raised))) * sum(raised[0])
    statistic = stability_index((window * 300)[np.newaxis], 300, reference[np.newaxis], 5000)
    assert statistic[0] == pytest.approx(expected, rel=1e-9)


def test_the_stability_index_of_an_empty_cell_is_finite() -> None:
    """On either side."""
    one, other = np.array([[10.0, 0.0]]), np.array([[0.0, 1.0]])
    assert math.isfinite(stability_index(one, 10, other, 100)[0])


@pytest.mark.parametrize("function", [chi_square, kolmogorov_smirnov, stability_index, wasserstein(np.ones((1, 3)))])
def test_cells_that_a_column_lacks_make_no_difference(function: object) -> None:
    """Tables are as wide as the widest column. Equal samples make 0, to the last digits."""
    assert callable(function)
    counts, shares = np.array([[40.0, 60.0, 0.0]]), np.array([[0.4, 0.6, 0.0]])
    if function not in (chi_square, stability_index):
        counts, shares = counts.cumsum(axis=-1), shares.cumsum(axis=-1)
    assert function(counts, 100, shares, 10_000)[0] == pytest.approx(0, abs=1e-12)


@given(st.floats(0, 3000), st.integers(1, 250))
def test_the_tail_is_that_of_chi_square(statistic: float, degrees: int) -> None:
    """To twelve digits, down to what no double holds."""
    expected = float(stats.chi2.sf(statistic, degrees))
    assert chi_square_tail(statistic, degrees) == pytest.approx(expected, rel=1e-11, abs=1e-300)


def test_the_tail_without_freedom() -> None:
    """A variable of no degrees of freedom is 0."""
    assert chi_square_tail(0.0, 0) == 1
    assert chi_square_tail(0.1, 0) == 0

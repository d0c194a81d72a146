"""Columns cut into cells by the reference's quantiles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gangplank.drift.binning import Bins

COLUMNS = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 200), st.just(1)),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


def column(*values: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return rows of one number."""
    return np.array(values)[:, np.newaxis]


def test_cells_hold_equal_shares() -> None:
    """Of numbers that are all different."""
    reference = np.random.default_rng(0).normal(size=(6400, 2))
    cells = Bins(reference, 64, is_ordered=True).of(reference)
    for index in range(2):
        assert (np.bincount(cells[:, index]) == 100).all()


@pytest.mark.parametrize("is_ordered", [True, False])
@given(reference=COLUMNS, rows=COLUMNS)
def test_cells_are_few_and_as_the_numbers_are(
    reference: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    rows: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    is_ordered: bool,
) -> None:
    """Any reference, any rows: cells are within the table, equal numbers share one, and order is kept if asked for."""
    bins = Bins(reference, 10, is_ordered=is_ordered)
    rows = np.vstack([reference, rows])
    cells = bins.of(rows)[:, 0]
    assert bins.width <= 11
    assert 0 <= cells.min() <= cells.max() < bins.width
    order = np.argsort(rows[:, 0], kind="stable")
    if is_ordered:
        assert (np.diff(cells[order]) >= 0).all()
    same = np.diff(rows[order, 0]) == 0
    assert (np.diff(cells[order])[same] == 0).all()


def test_few_values_have_a_cell_each() -> None:
    """In order, with one for what may lie between and beyond them; without order, with one for all that is new."""
    reference = column(*[1.0] * 5, *[2.0] * 3, 7.0)
    rows = column(0.0, 1.0, 1.5, 2.0, 5.0, 7.0, 8.0)
    assert list(Bins(reference, 10, is_ordered=True).of(rows)[:, 0]) == [0, 1, 2, 3, 4, 5, 6]
    assert list(Bins(reference, 10, is_ordered=False).of(rows)[:, 0]) == [3, 0, 3, 1, 3, 2, 3]


def test_a_frequent_value_among_many_has_a_cell_of_its_own() -> None:
    """What a rectifier makes: half of it 0. What is just above is told apart."""
    random = np.random.default_rng(0)
    reference = np.maximum(random.normal(size=(10_000, 1)), 0)
    bins = Bins(reference, 64, is_ordered=True)
    zero, above, below = bins.of(column(0.0, 1e-30, -1e-30))[:, 0]
    assert below < zero < above
    assert np.count_nonzero(bins.of(reference) == zero) == np.count_nonzero(reference == 0)


def test_a_constant_column_tells_a_new_value() -> None:
    """On either side."""
    constant = np.full((100, 1), 3.0)
    assert list(Bins(constant, 64, is_ordered=True).of(column(2, 3, 4))[:, 0]) == [0, 1, 2]
    assert list(Bins(constant, 64, is_ordered=False).of(column(2, 3, 4))[:, 0]) == [1, 0, 1]


def test_a_number_is_the_same_in_every_precision() -> None:
    """0.1 of float32 is the 0.1 of float64, though it is not the same number."""
    bins = Bins(column(0.1, 0.2, 0.3), 64, is_ordered=False)
    rows = np.array([[0.1], [0.2], [0.3]])
    assert (bins.of(rows.astype(np.float32).astype(np.float64)) == bins.of(rows)).all()


def test_numbers_too_large_for_single_precision_lie_at_its_end() -> None:
    """Without a warning, which the tests make an error."""
    bins = Bins(column(-1e300, 0.0, 1e300), 64, is_ordered=True)
    assert list(bins.of(column(-1e308, 1e308))[:, 0]) == [1, 5]
    assert np.isfinite(bins.distances(column(-1e300, 0.0, 1e300))).all()


def test_distances_are_those_between_means() -> None:
    """As a share of all between the first and the last."""
    reference = column(*[0.0] * 4, *[1.0] * 4, *[10.0] * 4)
    bins = Bins(reference, 10, is_ordered=True)  # below, 0, between, 1, between, 10, above
    assert list(bins.distances(reference)[0]) == pytest.approx([0.5, 0.05, 0.05, 0.45, 0.45, 0.5, 0.0])


@pytest.mark.parametrize("value", [0.0, 1e-30, -5.0])
def test_distances_in_a_constant_column(value: float) -> None:
    """There is no scale but what is made one."""
    reference = np.full((20, 1), value)
    distances = Bins(reference, 10, is_ordered=True).distances(reference)
    assert list(distances[0]) == [1.0, 1.0, 0.0]
    assert math.isfinite(distances.sum())

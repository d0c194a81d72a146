"""The statistic of MMD, which is summed in parts: it is what its definition says, to the sixth digit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from gangplank.drift.calibration import Schedule
from gangplank.drift.mmd_kernel import Kernel, left, right, similarities, sums
from gangplank.drift.mmd_streams import Reference, Sampling, Streams, thinned
from gangplank.drift.mmd_window import Window
from gangplank.errors import ConfigurationError

Floats = npt.NDArray[np.float64]

ROUNDING = 2e-6
"""float32 has seven digits, and a similarity is 1 at the most."""


def similarity(some: Floats, others: Floats, bandwidth: float) -> Floats:
    """Return the kernel of each of some rows with each of others, by its definition."""
    squares = ((some[:, None] - others) ** 2).sum(axis=2)
    found: Floats = np.exp(-squares / (2 * bandwidth**2))
    return found


def mmd(window: Floats, reference: Floats, bandwidth: float) -> float:
    """Return the unbiased squared MMD by its definition (Gretton et al. 2012, equation 3)."""

    def within(rows: Floats) -> float:
        pairs = similarity(rows, rows, bandwidth)
        return float((pairs.sum() - len(rows)) / (len(rows) * (len(rows) - 1)))

    return within(window) + within(reference) - 2 * float(similarity(window, reference, bandwidth).mean())


def normal(number: int, width: int = 3, seed: int = 0) -> Floats:
    """Return rows that are neither about 0 nor of one scale."""
    return np.random.default_rng(seed).normal(5, 2, size=(number, width))


def kernel(rows: Floats, bandwidth: float | None = None, project: int | None = None) -> Kernel:
    """Return a kernel with a random state of its own."""
    return Kernel(rows, bandwidth, project, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("window", "stride", "sampling"),
    [(20, 1, "iid"), (20, 5, "iid"), (12, 5, "iid"), (9, 9, "iid"), (7, 3, "iid"), (2, 2, "iid"), (12, 4, "blocks")],
)
def test_streams_have_the_statistic_of_their_windows(window: int, stride: int, sampling: Sampling) -> None:
    """Each against the part of the reference that is not in the stream."""
    rows = normal(200)
    similar = kernel(rows)
    streams = Streams(Reference.of(similar.points(rows)), Schedule(1000, window, stride), sampling)
    drawn = np.array([streams.draw(np.random.default_rng(seed)) for seed in range(3)])
    found = streams.statistics(drawn)
    assert found.shape == (3, 1 + 3 * window // stride)
    for indices, statistics in zip(drawn, found, strict=True):
        rest = np.delete(rows, indices, axis=0)
        assert len(rest) == len(rows) - len(indices)  # nothing is drawn twice
        for evaluation, statistic in enumerate(statistics):
            seen = rows[indices[evaluation * stride :][:window]]
            assert statistic == pytest.approx(mmd(seen, rest, similar.bandwidth), abs=ROUNDING)


@pytest.mark.parametrize("width", [1, 40, 300])
def test_streams_have_it_also_where_they_are_computed_in_many_tiles(width: int) -> None:
    """Of which the last one is not full."""
    rows = normal(500, width)
    similar = kernel(rows)
    streams = Streams(Reference.of(similar.points(rows)), Schedule(1000, 110, 10), "iid")
    drawn = streams.draw(np.random.default_rng(1))[None]
    rest = np.delete(rows, drawn[0], axis=0)
    for evaluation in (0, 17, 33):
        expected = mmd(rows[drawn[0, 10 * evaluation :][:110]], rest, similar.bandwidth)
        assert streams.statistics(drawn)[0, evaluation] == pytest.approx(expected, abs=ROUNDING)


def test_a_window_has_the_statistic_of_what_was_last_pushed() -> None:
    """However much was before: nothing adds up."""
    rows, fresh = normal(150), normal(30_000, seed=1)
    similar = kernel(rows)
    drawn = np.random.default_rng(2).permutation(150)[:40]
    window = Window(Reference.of(similar.points(rows)), drawn, 10)
    rest, seen = np.delete(rows, drawn, axis=0), rows[drawn[:10]]
    assert window.statistic == pytest.approx(mmd(seen, rest, similar.bandwidth), abs=ROUNDING)
    for begin in range(0, len(fresh), 3):
        entering = similar.points(fresh[begin : begin + 3])
        window.push(entering, window.nearness(entering))
        if begin < 30 or begin > len(fresh) - 30:
            last = np.concatenate([seen, fresh[: begin + 3]])[-10:]
            assert window.statistic == pytest.approx(mmd(last, rest, similar.bandwidth), abs=ROUNDING)


@pytest.mark.parametrize(("far", "alike"), [(1e3, 0), (1e8, 0), (1e30, 1), (1e300, 1)])
def test_points_that_are_far_from_the_reference_are_similar_to_none_of_it(far: float, alike: int) -> None:
    """However far: nothing overflows. Only that they are far from one another too is not seen for ever."""
    rows = normal(150)
    similar = kernel(rows)
    drawn = np.arange(20)
    window = Window(Reference.of(similar.points(rows)), drawn, 10)
    entering = similar.points(far * (1 + np.arange(30.0).reshape(10, 3)))
    window.push(entering, window.nearness(entering))
    among = similarity(rows[20:], rows[20:], similar.bandwidth)
    assert window.statistic == pytest.approx((among.sum() - 130) / (130 * 129) + alike, abs=ROUNDING)


def test_a_reference_with_one_far_row_has_the_similarities_of_the_others() -> None:
    """The middle is not drawn away, where rows could not be told apart any more."""
    rows = np.concatenate([normal(99), np.full((1, 3), 1e15)])
    similar = kernel(rows)
    expected = similarity(rows, rows, similar.bandwidth).sum(axis=1)
    assert Reference.of(similar.points(rows)).sums == pytest.approx(expected, rel=1e-5)


def test_the_bandwidth_is_the_median_distance() -> None:
    """Half of all pairs are nearer."""
    assert kernel(np.array([[0.0], [1.0], [10.0]])).bandwidth == 9
    rows = normal(3000)
    differences = np.random.default_rng(1).permutation(rows) - rows
    assert kernel(rows).bandwidth == pytest.approx(np.median(np.sqrt((differences**2).sum(axis=1))), rel=0.03)
    assert kernel(rows, 0.5).bandwidth == 0.5


def test_the_bandwidth_is_the_mean_distance_if_most_rows_are_alike() -> None:
    """As confident predictions are."""
    rows = np.zeros((10, 1))
    rows[0] = 9
    assert kernel(rows).bandwidth == pytest.approx(9 * 9 / 45)


@pytest.mark.parametrize("rows", [np.ones((50, 2)), np.array([[0.0], [1e200]]).repeat(3, axis=0)])
def test_rows_without_a_distance_need_a_bandwidth(rows: Floats) -> None:
    """All alike, or too far apart for it to be computed."""
    with pytest.raises(ConfigurationError, match="bandwidth must be given, a number above 0"):
        kernel(rows)
    assert kernel(rows, 2.0).bandwidth == 2


def test_projected_points_are_as_far_apart_as_the_rows() -> None:
    """Nearly so, the more numbers they have."""
    rows = normal(200, 2000)
    points = kernel(rows, 1.0, 400).points(rows)
    assert points.shape == (200, 400)
    exact, projected = (np.linalg.norm(some[:100] - some[100:], axis=1) for some in (rows, points))
    assert projected / exact == pytest.approx(1, abs=0.15)


def test_sums_are_those_of_the_similarities() -> None:
    """In as many blocks as it takes."""
    some, others = normal(150, seed=1) / 4, normal(1000, seed=2) / 4
    found = sums(left(some), right(others))
    assert found == pytest.approx(similarity(some, others, 1).sum(axis=1), rel=1e-9)
    assert similarities(left(some), right(others)) == pytest.approx(similarity(some, others, 1), abs=1e-9)


def test_fewer_rows_are_kept_in_their_order() -> None:
    """Of blocks, whole ones."""
    rows = np.arange(1000.0)[:, None]
    random = np.random.default_rng(0)
    assert thinned(rows, 1000, 20, "iid", random) is rows
    some = thinned(rows, 300, 20, "iid", random)[:, 0]
    assert len(some) == 300
    assert (np.diff(some) > 0).all()
    blocks = thinned(rows, 310, 20, "blocks", random)[:, 0].reshape(-1, 20)
    assert len(blocks) == 15
    assert (np.diff(blocks, axis=1) == 1).all()
    assert (np.diff(blocks[:, 0]) >= 20).all()

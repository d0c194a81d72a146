"""Weights: counts that are exact for every dtype, in little memory."""

from __future__ import annotations

import math
import subprocess
import threading
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangplank import HISTOGRAM_WEIGHT_BUCKETS_0_3, HISTOGRAM_WEIGHT_BUCKETS_1_0, summarize_weights
from gangplank.weights.counting import flat_copy
from gangplank.weights.summary import WeightSummary

Script = Callable[..., "subprocess.CompletedProcess[str]"]
DTYPES: list[Any] = [np.float16, np.float32, np.float64, ml_dtypes.bfloat16, np.int8]

# Numbers whose nearest float16, bfloat16 or float32 lies above or below them, and what lies beyond these types.
AWKWARD = [0.1, -0.1, 0.3, -0.3, 1 / 3, 0.7, 5e-324, -5e-324, 1e-46, 6e-8, 70000.0, -70000.0, 3.5e38, -3.5e38, 1e300]
ROUNDED = [float(np.asarray(number).astype(dtype)) for number in AWKWARD[:6] for dtype in DTYPES[:4]]
FINITE = st.one_of(
    st.sampled_from(AWKWARD + ROUNDED),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5]),
    st.integers(-3, 3).map(lambda steps: steps / 10),
    st.floats(-1e300, 1e300),  # so that no order of summing overflows
    st.floats(-1.0, 1.0, width=16),
)
VALUES = st.one_of(FINITE, st.sampled_from([math.nan, math.inf, -math.inf]))
BOUNDS = st.lists(FINITE | st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=12).map(
    lambda bounds: tuple(sorted({bound + 0.0 for bound in bounds}))
)


def array_of(values: list[float], dtype: Any) -> npt.NDArray[Any]:
    """Return the values in ``dtype``, rounded as they must be; what int8 cannot hold becomes 0."""
    exact = np.asarray(values, dtype=np.float64)
    if dtype is np.int8:
        return np.where(np.abs(exact) <= 127, exact, 0).astype(np.int8)
    with np.errstate(over="ignore"):
        return exact.astype(dtype)


def reference(arrays: list[npt.NDArray[Any]], bounds: tuple[float, ...]) -> tuple[tuple[int, ...], float, int]:
    """Count one value at a time, as a real number."""
    values = [float(value) for array in arrays for value in array.reshape(-1)]
    numbers = [value for value in values if not math.isnan(value)]
    counts = (*(sum(value <= bound for value in numbers) for bound in bounds), len(numbers))
    return counts, sum(numbers), sum(not math.isfinite(value) for value in values)


def assert_matches(summary: WeightSummary, arrays: list[npt.NDArray[Any]], bounds: tuple[float, ...]) -> None:
    """Compare with the reference: counts exactly, the sum as well as the order of summing allows."""
    counts, total, nonfinite = reference(arrays, bounds)
    assert summary.distribution.bounds == bounds
    assert summary.distribution.cumulative == counts
    assert summary.nonfinite == nonfinite
    magnitude = sum(abs(float(value)) for array in arrays for value in array.reshape(-1) if math.isfinite(float(value)))
    assert summary.distribution.sum == pytest.approx(total, rel=1e-12, abs=1e-12 * magnitude, nan_ok=True)
    assert_statistics(summary, [float(value) for array in arrays for value in array.reshape(-1)])


def assert_statistics(summary: WeightSummary, values: list[float]) -> None:
    """Compare with what exact fractions say; squares are those of float32, where the weights are of that size."""
    numbers = [value for value in values if not math.isnan(value)]
    assert summary.distribution.least == min(numbers, default=None)
    assert summary.distribution.greatest == max(numbers, default=None)
    if not numbers or not all(map(math.isfinite, numbers)):
        assert math.isnan(summary.stddev)
        return
    # Hypothesis finds magnitudes whose squares no double holds: there they are infinite or 0, and no test of ours.
    largest = max(map(abs, numbers))
    if largest > 1e150 or 0 < largest < 1e-150:
        return
    mean = sum(map(Fraction, numbers)) / len(numbers)
    deviations = sum((Fraction(number) - mean) ** 2 for number in numbers)
    assert summary.mean == pytest.approx(float(mean), rel=1e-12, abs=1e-12 * largest)
    assert summary.stddev == pytest.approx(math.sqrt(deviations / len(numbers)), rel=1e-5, abs=1e-6 * largest)
    assert summary.norm == pytest.approx(math.sqrt(sum(Fraction(number) ** 2 for number in numbers)), rel=1e-5)


@given(st.lists(st.tuples(st.lists(VALUES, max_size=20), st.sampled_from(DTYPES)), max_size=4), BOUNDS)
def test_counts_are_those_of_real_numbers(parts: list[tuple[list[float], Any]], bounds: tuple[float, ...]) -> None:
    """For any values in any dtypes and any bounds, a bucket holds what is at or below its bound, and no more."""
    arrays = [array_of(values, dtype) for values, dtype in parts]
    assert_matches(summarize_weights(arrays, bounds), arrays, bounds)


@given(st.lists(VALUES, min_size=1, max_size=40), st.sampled_from(DTYPES), BOUNDS, st.integers(0, 1500))
def test_long_arrays_are_counted_as_short_ones_are(
    values: list[float], dtype: Any, bounds: tuple[float, ...], more: int
) -> None:
    """These are not sorted, but compared with each bound; what is left behind whole rows is sorted."""
    array = np.resize(array_of(values, dtype), 1024 + more)
    summary, (counts, _, nonfinite) = summarize_weights([array], bounds), reference([array], bounds)
    assert summary.distribution.cumulative == counts
    assert summary.nonfinite == nonfinite


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint32, np.bool_, ">f4", ml_dtypes.float8_e4m3fn])
def test_other_types_of_numbers(dtype: Any) -> None:
    """Held exactly by float32 or by float64."""
    array = np.asarray([0, 1, 1, 0] * 600).astype(dtype)
    if np.dtype(dtype).itemsize == 4 and np.dtype(dtype).kind in "iu":
        array[0] = 2**24 + 1
        assert summarize_weights([array], (2.0**24,)).distribution.cumulative == (2399, 2400)
    assert_matches(summarize_weights([array], (0.0, 0.5)), [array], (0.0, 0.5))


def test_weights_are_read_though_the_program_is_ending(script: Script) -> None:
    """A training on a thread of its own may outlive the main thread, when pools take no more work."""
    process = script(
        """
        import threading
        import numpy as np
        from gangplank import summarize_weights

        def read():
            threading.main_thread().join()
            print(summarize_weights([np.zeros(3_000_000, "f")], (0.0,), threads=2).distribution.count)

        threading.Thread(target=read).start()
        """
    )
    assert (process.stdout, process.stderr) == ("3000000\n", "")


def test_what_is_compared_must_be_as_large() -> None:
    """It is looked at before anything is overwritten."""
    kept = [np.zeros(3, np.float32), np.zeros(2, np.float32)]
    with pytest.raises(ValueError, match=r"before must have the shape \(3,\)"):
        summarize_weights([np.ones(3, np.float32), np.ones(3, np.float32)], (), before=kept)
    np.testing.assert_array_equal(kept[0], np.zeros(3))


@pytest.mark.parametrize("dtype", DTYPES[:4])
@pytest.mark.parametrize("number", AWKWARD[:6])
def test_a_tie_with_what_a_bound_rounds_to_is_decided_exactly(dtype: Any, number: float) -> None:
    """float32(0.1) is above 0.1 and not in its bucket; what is below is."""
    value = np.asarray([number]).astype(dtype)
    below = np.nextafter(value, dtype(-np.inf))
    above = np.nextafter(value, dtype(np.inf))
    summary = summarize_weights([below, value, above], (number,))
    assert summary.distribution.cumulative == (1 + (float(value[0]) <= number), 3)


@pytest.mark.parametrize("buckets", [HISTOGRAM_WEIGHT_BUCKETS_1_0, HISTOGRAM_WEIGHT_BUCKETS_0_3])
@pytest.mark.parametrize("dtype", DTYPES[:4])
def test_the_ready_made_bounds_hold_their_own_values(buckets: list[float], dtype: Any) -> None:
    """Weights right on the bounds are counted as the rounding of their dtype has them."""
    bounds = tuple(buckets)
    array = np.asarray(buckets).astype(dtype)
    assert_matches(summarize_weights([array], bounds), [array], bounds)


def test_the_ready_made_bounds_are_the_predecessors() -> None:
    """Recording rules name these le labels."""
    assert [
        *(-1.0, -0.9, -0.8, -0.7, -0.6, -0.5, -0.4, -0.3, -0.2, -0.1),
        *(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    ] == HISTOGRAM_WEIGHT_BUCKETS_1_0
    assert [
        *(-0.3, -0.25, -0.2, -0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3),
    ] == HISTOGRAM_WEIGHT_BUCKETS_0_3


def test_a_model_without_weights_has_an_empty_distribution() -> None:
    """No arrays, or arrays with nothing in them."""
    for arrays in ([], [np.zeros(0, np.float32)], [np.zeros((3, 0, 2))]):
        summary = summarize_weights(arrays, (0.0,))
        assert (summary.distribution.cumulative, summary.distribution.sum, summary.nonfinite) == ((0, 0), 0.0, 0)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.float32).reshape(4, 6).T,
        np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::-3],
        np.asarray(3.5),
        np.broadcast_to(np.float32(2.0), (3, 3)),
    ],
)
def test_arrays_of_any_layout_are_read_whole(array: npt.NDArray[Any]) -> None:
    """Transposed, sliced, scalar, broadcast."""
    assert_matches(summarize_weights([array], (2.0, 10.0)), [array], (2.0, 10.0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_longer_than_a_piece_are_read_whole(dtype: Any) -> None:
    """The last value counts like the first, NaN included where the dtype has it."""
    array = np.zeros(300_001).astype(dtype)
    array[0] = 1
    array[-1] = 1 if dtype is np.int8 else np.nan
    numbers = 300_001 - (dtype is not np.int8)
    summary = summarize_weights([array, array], (0.0, 2.0))
    assert summary.distribution.cumulative == (2 * 299_999, 2 * numbers, 2 * numbers)
    assert summary.distribution.sum == 2 * (2 if dtype is np.int8 else 1)
    assert summary.nonfinite == (0 if dtype is np.int8 else 2)


def test_the_sum_is_taken_in_double_precision() -> None:
    """A sum in float32 would stop growing at 2**24, one in float16 overflow at 65504."""
    assert summarize_weights([np.ones(20_000_000, np.int8)], (0.0,)).distribution.sum == 20_000_000
    assert summarize_weights([np.full(200_000, 2.0, np.float16)], (0.0,)).distribution.sum == 400_000
    assert summarize_weights([np.asarray([2**24, 1, 1], np.float32)], (0.0,)).distribution.sum == 2**24 + 2


@pytest.mark.parametrize(
    ("values", "counts", "total"),
    [
        ([math.nan, 0.5], (0, 1), 0.5),
        ([-math.inf, 0.5], (1, 2), -math.inf),
        ([math.inf, 0.5], (0, 2), math.inf),
        ([math.inf, -math.inf], (1, 2), math.nan),
    ],
)
def test_what_is_not_finite_is_counted_as_such(values: list[float], counts: tuple[int, ...], total: float) -> None:
    """NaN is in no bucket; infinities are in the outermost and in the sum."""
    summary = summarize_weights([np.asarray(values, np.float32)], (0.0,))
    assert summary.distribution.cumulative == counts
    assert summary.distribution.sum == pytest.approx(total, nan_ok=True)
    assert summary.nonfinite == sum(not math.isfinite(value) for value in values)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_numbers_cause_no_warning(dtype: Any) -> None:
    """Where warnings are errors, the last bound or weight that a dtype can hold must not end in one."""
    largest = float(np.finfo(dtype).max)
    summary = summarize_weights([np.asarray([-largest, largest, largest], dtype)], (-largest, largest))
    assert summary.distribution.cumulative == (1, 3, 3)
    summary = summarize_weights([np.asarray([largest, largest], np.float64)], (0.0,))
    assert summary.distribution.sum == 2 * largest


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
@pytest.mark.parametrize("with_gaps", [False, True])
def test_the_extra_memory_does_not_grow_with_the_model(dtype: Any, with_gaps: bool) -> None:
    """40 MB of weights are read in pieces, not copied, by as many threads as there may be; with gaps, too."""
    array = np.zeros(40_000_000 // np.dtype(dtype).itemsize, dtype)[::-1]
    array = array if with_gaps else array[::-1]
    tracemalloc.start()
    try:
        summarize_weights([array], tuple(HISTOGRAM_WEIGHT_BUCKETS_1_0))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16_000_000


def test_the_arrays_are_left_as_they_are() -> None:
    """Reading weights changes none."""
    array = np.asarray([0.5, math.nan, -0.5], np.float32)
    array.flags.writeable = False
    summarize_weights([array], (0.0,))
    np.testing.assert_array_equal(array, np.asarray([0.5, math.nan, -0.5], np.float32))


@pytest.mark.parametrize("threads", [1, 2, 5, None])
def test_several_threads_find_what_one_does(threads: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces are counted once, whoever takes them; the last one is shorter."""
    begun: list[threading.Thread] = []
    start = threading.Thread.start

    def beginning(thread: threading.Thread) -> None:
        begun.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", beginning)
    random = np.random.default_rng(3)
    arrays = [random.standard_normal(size).astype(np.float32) for size in (2_000_001, 17, 1_000_000)]
    arrays[0][1_500_000] = np.nan
    bounds = tuple(HISTOGRAM_WEIGHT_BUCKETS_1_0)
    summary = summarize_weights(arrays, bounds, threads=threads)
    values = np.concatenate(arrays).astype(np.float64)
    numbers = values[~np.isnan(values)]
    assert threads is None or len(begun) == threads - 1
    assert summary.distribution.cumulative == (*((numbers <= bound).sum() for bound in bounds), 3_000_017)
    assert summary.nonfinite == 1
    assert summary.mean == pytest.approx(numbers.mean(), rel=1e-9)
    assert summary.stddev == pytest.approx(numbers.std(), rel=1e-6)
    assert summary.norm == pytest.approx(np.linalg.norm(numbers), rel=1e-6)


def test_the_deviation_of_weights_far_from_zero_is_that_of_the_weights() -> None:
    """Scales of a normalization lie closely about 1: the mean of the squares less the square of the mean is noise."""
    array = (1 + 1e-4 * np.random.default_rng(5).standard_normal(300_000)).astype(np.float32)
    summary = summarize_weights([array], ())
    assert summary.stddev == pytest.approx(array.astype(np.float64).std(), rel=1e-3)


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e25, 1e35])
def test_squares_that_float32_cannot_hold_are_taken_in_double_precision(scale: float) -> None:
    """A norm is not 0 because its squares are too small, nor infinite because they are too large."""
    array = (scale * np.random.default_rng(5).standard_normal(3000)).astype(np.float32)
    summary = summarize_weights([array], (), before=[np.zeros_like(array) + np.float32(scale)])
    assert summary.norm == pytest.approx(np.linalg.norm(array.astype(np.float64)), rel=1e-6)
    assert summary.stddev == pytest.approx(array.astype(np.float64).std(), rel=1e-6)
    moved = np.linalg.norm(array.astype(np.float64) - np.float64(np.float32(scale)))
    assert summary.update is not None
    assert summary.update.ratio == pytest.approx(moved / (np.float64(np.float32(scale)) * math.sqrt(3000)), rel=1e-5)


@given(st.lists(st.lists(VALUES, max_size=8), min_size=2, max_size=2), BOUNDS, st.sampled_from(DTYPES))
def test_summaries_of_parts_add_up_to_that_of_the_whole(
    parts: list[list[float]], bounds: tuple[float, ...], dtype: Any
) -> None:
    """As layers do to a model."""
    arrays = [array_of(values, dtype) for values in parts]
    with np.errstate(all="ignore"):
        summary = summarize_weights(arrays[:1], bounds) + summarize_weights(arrays[1:], bounds)
    assert_matches(summary, arrays, bounds)


def test_summaries_with_different_bounds_do_not_add_up() -> None:
    """There is no such distribution."""
    with pytest.raises(ValueError, match="the bounds differ"):
        summarize_weights([], (0.0,)) + summarize_weights([], (1.0,))


@pytest.mark.parametrize("dtype", DTYPES[:4])
@pytest.mark.parametrize("shape", [(), (3, 5), (700, 600)])
def test_weights_are_compared_with_earlier_ones_and_kept_for_the_next_time(dtype: Any, shape: tuple[int, ...]) -> None:
    """The ratio is that of norms; the copy is brought up to date in passing."""
    random = np.random.default_rng(7)
    first, second = (random.standard_normal(shape).astype(dtype) for _ in range(2))
    if shape == (700, 600):
        first, second = first.T, second.T
    kept = flat_copy(first)
    update = summarize_weights([second], (0.0,), before=[kept]).update
    exact_first, exact_second = first.astype(np.float64), second.astype(np.float64)
    expected = np.linalg.norm(exact_second - exact_first) / np.linalg.norm(exact_first)
    assert update is not None
    assert update.ratio == pytest.approx(expected, rel=1e-5)
    np.testing.assert_array_equal(kept, flat_copy(second))
    again = summarize_weights([second], (0.0,), before=[kept]).update
    assert again is not None
    assert again.ratio == 0


def test_a_change_from_nothing_has_no_ratio() -> None:
    """A bias begins as zeros."""
    update = summarize_weights([np.ones(3, np.float32)], (), before=[np.zeros(3, np.float32)]).update
    assert update is not None
    assert math.isnan(update.ratio)


@pytest.mark.parametrize("dtype", [np.complex64, np.str_, object, "V1", [("a", "f4")]])
def test_what_is_no_real_number_is_refused(dtype: Any) -> None:
    """A silent wrong answer would be worse."""
    with pytest.raises(TypeError, match="weights must be real numbers, not"):
        summarize_weights([np.zeros(3).astype(dtype)], (0.0,))

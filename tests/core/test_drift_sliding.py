"""Windows that slide by whole strides, whatever batches they come in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangplank.drift.calibration import Schedule
from gangplank.drift.sliding import Blocks, SlidingCounts, schedule
from gangplank.errors import ConfigurationError


@given(st.lists(st.integers(0, 30)), st.integers(1, 9))
def test_blocks_do_not_depend_on_batches(sizes: list[int], length: int) -> None:
    """Any batches make the blocks that the whole stream makes, and nobody's array is kept."""
    stream = np.arange(sum(sizes))
    blocks, found = Blocks(length), []
    for batch in np.split(stream, np.cumsum(sizes)):
        mine = batch.copy()
        found += [list(block) for block in blocks.cut(mine)]
        mine[:] = -1
    whole = len(stream) // length
    assert found == stream[: whole * length].reshape(whole, length).tolist()


def test_cleared_blocks_begin_anew() -> None:
    """What waited does not come."""
    blocks = Blocks(3)
    assert not list(blocks.cut(np.arange(2)))
    blocks.take(None)
    assert [list(block) for block in blocks.cut(np.arange(10, 14))] == [[10, 11, 12]]


@given(st.lists(st.integers(0, 3), max_size=200))
def test_sliding_counts_are_those_of_the_window(stream: list[int]) -> None:
    """After each block, they are what counting the last observations finds."""
    window = SlidingCounts(Schedule(1000, 20, 5), 0)
    for end in range(5, len(stream) + 1, 5):
        window.add(np.bincount(stream[end - 5 : end], minlength=4))
        seen = stream[max(0, end - 20) : end]
        assert window.observations == len(seen)
        assert list(window.total) == list(np.bincount(seen, minlength=4))


@pytest.mark.parametrize(("asked", "least"), [(0, 5), (6, 10), (20, 20), (500, 20)])
def test_a_window_says_something_once_it_holds_enough(asked: int, least: int) -> None:
    """That is a quarter at least, and all of it at the most, in whole strides."""
    window = SlidingCounts(Schedule(1000, 20, 5), asked)
    enough = []
    for _ in range(6):
        window.add(np.ones(1, np.int64))
        enough.append(window.is_enough)
    assert window.least == least
    assert enough.index(True) == least // 5 - 1
    window.clear()
    assert not window.is_enough
    assert not window.observations


@pytest.mark.parametrize(("window", "stride"), [(1000, 50), (250, 10), (128, 4), (1009, 1), (19, 1)])
def test_the_stride_divides_the_window(window: int, stride: int) -> None:
    """It is the largest that does, up to a 20th."""
    assert schedule(10_000, window, None) == Schedule(10_000, window, stride)


def test_a_stride_that_does_not_is_refused() -> None:
    """And told."""
    assert schedule(10_000, 1000, 100).stride == 100
    with pytest.raises(ConfigurationError, match="stride must divide the window, 1000, got 300"):
        schedule(10_000, 1000, 300)

"""Batches that wait together: which become one, and what is in it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from gangplank.drift.batches import Batch, alike, joined
from gangplank.drift.monitor import Monitor

ONE = np.arange(6.0).reshape(2, 3)


def batch(x: Any, y: Any) -> Batch:
    """Return a batch of two samples."""
    return Batch(x, y, 2, 48)


def test_what_is_joined_is_all_of_it_in_its_order() -> None:
    """Inputs and predictions, samples and bytes; what nobody looks at stays away."""
    batches = [batch(None, ONE), batch(None, ONE + 10), Batch(None, ONE[:1] + 20, 1, 24)]
    [group] = alike(batches)
    whole = joined(group)
    assert (whole.x, whole.samples, whole.size) == (None, 5, 120)
    np.testing.assert_array_equal(whole.y, np.concatenate([ONE, ONE + 10, ONE[:1] + 20]))
    both = joined([batch(ONE, ONE), batch(ONE, ONE)])
    assert both.x.shape == both.y.shape == (4, 3)


@pytest.mark.parametrize(
    "other",
    [ONE[:, :2], ONE.astype("float32"), ONE[0], np.float64(1), [ONE], {"a": ONE}, None, "text"],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_alike_stays_by_itself(other: Any) -> None:
    """Rows of another width or type are another batch's, and what is no array is handed over as it came."""
    batches = [batch(None, ONE), batch(None, other), batch(None, ONE), batch(None, ONE)]
    groups = list(alike(batches))
    assert [len(group) for group in groups] == [1, 1, 2]
    assert joined(groups[1]).y is other


class Heard:
    """A report and a function that keep what they are told."""

    def __init__(self) -> None:
        self.given: list[Any] = []
        self.heard: list[tuple[str, int]] = []

    def __call__(self, _: Any, y: Any) -> None:
        """Keep it, and fail the first time."""
        self.given.append(y)
        if len(self.given) == 1:
            raise RuntimeError

    def tested(self, samples: int, _: Any) -> None:
        """Keep it."""
        self.heard.append(("tested", samples))

    def dropped(self, samples: int) -> None:
        """Keep it."""
        self.heard.append(("dropped", samples))

    def failed(self, samples: int, _: BaseException) -> None:
        """Keep it."""
        self.heard.append(("failed", samples))


def test_a_monitor_joins_what_waits_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as it may: what fails, fails as a whole, and what comes after it is looked at."""
    monkeypatch.setattr("gangplank.drift.monitor._PAUSE", 3600.0)
    monkeypatch.setattr("gangplank.drift.monitor._MOST_JOINED", 5)
    heard = Heard()
    monitor = Monitor(heard, heard, joins=True)
    for number in range(3):
        monitor.submit(2, 48, lambda number=number: (None, ONE + number))  # type: ignore[misc]
    monitor.submit(9, 48, lambda: (None, "text"))
    monitor.drain(30)
    assert heard.heard == [("failed", 4), ("tested", 2), ("tested", 9)]
    np.testing.assert_array_equal(heard.given[0], np.concatenate([ONE, ONE + 1]))
    np.testing.assert_array_equal(heard.given[1], ONE + 2)


def test_a_queue_that_is_half_full_is_not_left_to_gather(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be full before the pause is over, and drop what there is time for."""
    monkeypatch.setattr("gangplank.drift.monitor._PAUSE", 3600.0)
    monkeypatch.setattr("gangplank.drift.monitor.MOST_SAMPLES", 8)
    done = threading.Event()
    monitor = Monitor(lambda _x, _y: done.set(), Heard())
    for _ in range(2):
        monitor.submit(2, 48, lambda: (None, ONE))
    assert not done.is_set()
    monitor.submit(2, 48, lambda: (None, ONE))
    assert done.wait(30)
    monitor.drain(30)

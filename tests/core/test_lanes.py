"""Lanes: a thread writes to cells of its own, and what it wrote is read with the rest."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from calls import Worker, run_together
from hypothesis import given, settings
from hypothesis import strategies as st

from gangplank.catalogue import metric
from gangplank.cells import Cells, Memory, Part
from gangplank.lanes import Lanes
from gangplank.metrics import Phase
from gangplank.state import State

SAMPLES = metric(Phase.PREDICT, "")
SIZES = metric(Phase.PREDICT, "batch_size")
IN_FLIGHT = metric(Phase.PREDICT, "in_flight")
LAST = metric(Phase.PREDICT, "last_timestamp")
_SIZE = 2
_SUM = _SIZE + len(SIZES.bounds) + 1


class Counting(Memory):
    """Keeps cells in lists, and knows which of them are a thread's."""

    def __init__(self) -> None:
        self.shares: list[Cells] = []

    def allocate(self, parts: Sequence[Part]) -> Cells:
        """Return cells for these parts."""
        cells = super().allocate(parts)
        if len(parts) > 1:
            self.shares.append(cells)
        return cells


@pytest.fixture
def storage() -> Counting:
    """Where the state keeps its cells."""
    return Counting()


@pytest.fixture
def state(storage: Counting) -> State:
    """A state with nothing in it."""
    state = State()
    state.keep_in(storage)
    return state


def lanes_of(state: State) -> Lanes:
    """Return lanes of a histogram, of a counter that is its sum, and of two gauges."""
    return state.lanes(
        (state.histogram(SIZES, model="net"), _SIZE),
        (state.gauge(IN_FLIGHT, model="net"), 0),
        (state.gauge(LAST, model="net"), 1),
        (state.counter(SAMPLES, model="net"), _SUM),
    )


def write(lanes: Lanes, size: int = 1) -> Cells:
    """Note a batch of that size in the calling thread's share, and return the share."""
    try:
        cells = lanes.local.cells
    except AttributeError:
        cells = lanes.take()
    cells[_SIZE + SIZES.bounds.index(size)] += 1
    cells[_SUM] += size
    return cells


def samples(state: State) -> float:
    """Return the total."""
    return state.counter(SAMPLES, model="net").current()


def test_a_thread_keeps_its_share(state: State, storage: Counting) -> None:
    """It takes one once, and finds it again."""
    lanes = lanes_of(state)
    assert write(lanes) is write(lanes)
    assert len(storage.shares) == 1


def test_series_add_what_threads_wrote_to_what_was_written_otherwise(state: State) -> None:
    """And a number that two series state is one number."""
    lanes, worker = lanes_of(state), Worker()
    write(lanes, 2)
    worker.do(lambda: write(lanes, 4))
    state.counter(SAMPLES, model="net").add(0.5)
    state.histogram(SIZES, model="net").observe(1)
    worker.end()
    sizes = state.histogram(SIZES, model="net").current()
    assert (samples(state), sizes.sum, sizes.cumulative[:4]) == (6.5, 7, (1, 2, 3, 3))


def test_gauges_are_united_as_their_metric_says(state: State) -> None:
    """What is under way is added; of times the latest stands, whichever thread it is of, and 0 is none."""
    lanes, worker = lanes_of(state), Worker()
    here, there = lanes.take(), worker.do(lanes.take)
    assert isinstance(there, list)
    assert state.gauge(LAST, model="net").current() is None
    assert state.gauge(IN_FLIGHT, model="net").current() == 0
    here[0], there[0], here[1], there[1] = 2, 3, 200.0, 100.0
    assert state.gauge(IN_FLIGHT, model="net").current() == 5
    assert state.gauge(LAST, model="net").current() == 200.0
    state.gauge(LAST, model="net").set(300.0)
    assert state.gauge(LAST, model="net").current() == 300.0
    worker.end()


def test_lanes_are_made_once(state: State) -> None:
    """The first series tells them from others."""
    assert lanes_of(state) is lanes_of(state)
    other = state.lanes((state.histogram(SIZES, model="art"), 0))
    assert other is not lanes_of(state)


def test_an_ended_thread_hands_its_share_on(state: State, storage: Counting) -> None:
    """Numbers and all: a server that makes a thread a request does not grow."""
    lanes = lanes_of(state)
    for _ in range(100):
        worker = Worker()
        worker.do(lambda: write(lanes))
        worker.end()
    assert len(storage.shares) == 1
    assert samples(state) == 100


def test_threads_at_once_have_a_share_each(state: State, storage: Counting) -> None:
    """And the next eight have the same eight again."""
    lanes = lanes_of(state)
    for _ in range(3):
        at_work = threading.Barrier(8)

        def work(at_work: threading.Barrier = at_work) -> None:
            write(lanes)
            at_work.wait(30)

        run_together(*[work] * 8)
        assert len(storage.shares) == 8
    assert samples(state) == 24


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["write", "end"])), max_size=30))
def test_there_are_never_more_shares_than_there_were_threads_at_once(steps: list[tuple[int, str]]) -> None:
    """For any order in which threads come, write and go; and nothing that they wrote is lost."""
    storage, state, workers = Counting(), State(), dict[int, Worker]()
    state.keep_in(storage)
    lanes, most, written = lanes_of(state), 0, 0
    for number, step in steps:
        if step == "write":
            if number not in workers:
                workers[number] = Worker()
            workers[number].do(lambda: write(lanes, 4))
            written += 4
        elif number in workers:
            workers.pop(number).end()
        most = max(most, len(workers))
    for worker in workers.values():
        worker.end()
    assert len(storage.shares) == most
    assert samples(state) == written


def test_observations_are_those_of_all_shares(state: State) -> None:
    """A state that exits watch has a new version with each, though nobody told it."""
    lanes, worker = lanes_of(state), Worker()
    assert lanes.observations() == 0
    before = state.version
    for number in range(1, 4):
        write(lanes)
        assert (lanes.observations(), state.version) == (2 * number - 1, before + 2 * number - 1)
        worker.do(lambda: write(lanes))
        assert (lanes.observations(), state.version) == (2 * number, before + 2 * number)
    worker.end()
    assert state.versions()[Phase.PREDICT, False] == state.version
    assert lanes.observations() == 6


def test_shares_move_with_their_numbers(state: State) -> None:
    """To where the state is kept from now on; threads that are at work go on there."""
    lanes, worker, later = lanes_of(state), Worker(), Counting()
    write(lanes, 2)
    worker.do(lambda: write(lanes, 4))
    state.keep_in(later)
    assert samples(state) == 6
    write(lanes, 8)
    worker.do(lambda: write(lanes, 16))
    assert samples(state) == 30
    assert len(later.shares) == 2
    assert sum(cells[_SUM] for cells in later.shares) == 30
    worker.end()


def test_a_thread_that_ends_after_a_move_hands_nothing_on_twice(state: State) -> None:
    """Two threads must never write to one share."""
    lanes, worker = lanes_of(state), Worker()
    worker.do(lambda: write(lanes))
    state.keep_in(Counting())
    mine = write(lanes)
    worker.do(lambda: write(lanes))
    worker.end()
    others = [Worker(), Worker()]
    shares = [worker.do(lambda: write(lanes)) for worker in others]
    assert len({id(share) for share in (mine, *shares)}) == 3
    assert samples(state) == 5
    for worker in others:
        worker.end()


def test_reading_while_threads_write_never_goes_back(state: State) -> None:
    """A scrape that saw a count will not see less of it, without any lock."""
    lanes, done = lanes_of(state), threading.Event()

    def work() -> None:
        for _ in range(20):
            run_together(*[lambda: [write(lanes) for _ in range(200)]] * 2)
        done.set()

    worker = threading.Thread(target=work)
    worker.start()
    seen = [samples(state)]
    while not done.is_set():
        seen.append(samples(state))
    worker.join()
    assert seen == sorted(seen)
    assert samples(state) == lanes.observations() == 8000

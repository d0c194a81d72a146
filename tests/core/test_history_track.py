"""Lines and distributions that are thinned, and not cut."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gangplank.distribution import Distribution
from gangplank.history import snapshots
from gangplank.history.book import MOST as MOST_TRACKS
from gangplank.history.book import Book
from gangplank.history.lines import Line, Subject
from gangplank.history.snapshots import Snapshots
from gangplank.history.track import MOST, Track

NET = Subject("net")


def line(number: int = 0, section: str = "training") -> Line:
    """Return a line."""
    return Line(section, f"metric {number}", "training", f"gangplank_train_{number}")


def filled(count: int) -> Track:
    """Return a track of a slow wave, with one peak early on."""
    track = Track()
    for index in range(count):
        track.add(index, 1000.0 if index == 123 else math.sin(index / count * 20))
    return track


def test_a_short_track_has_every_point() -> None:
    """Up to the bound nothing is thinned."""
    points = filled(MOST - 1).points()
    assert [at for at, _ in points] == list(range(MOST - 1))


@settings(max_examples=8, deadline=None)
@given(st.integers(MOST, 20_000))
def test_a_long_track_is_bounded_and_whole(count: int) -> None:
    """From the first point to the newest, every part as fine as the others, with all peaks."""
    points = filled(count).points()
    times = [at for at, _ in points]
    assert MOST / 4 <= len(points) <= MOST + 3
    assert times == sorted(set(times))
    assert times[-1] == count - 1
    assert (123, 1000.0) in points
    widest = max(after - before for before, after in pairwise(times))
    assert times[0] < widest
    assert widest <= 16 * count / MOST


def test_each_point_was_really_there() -> None:
    """Nothing is averaged."""
    for at, value in filled(9999).points():
        assert value == (1000.0 if at == 123 else math.sin(at / 9999 * 20))


def test_what_is_not_finite_stays() -> None:
    """However many points there are: a loss that was NaN once must be seen."""
    track = Track()
    for index in range(20_000):
        track.add(index, {700: math.nan, 800: math.inf, 900: -math.inf}.get(index, 1.0))
    lost = [value for _, value in track.points() if not math.isfinite(value)]
    assert [math.isnan(value) for value in lost] == [True, False, False]
    assert lost[1:] == [math.inf, -math.inf]


def test_only_what_is_new() -> None:
    """The points after a time, the newest among them also where points are gathered."""
    track = filled(5000)
    assert [at for at, _ in track.points(4990)][-1] == 4999
    assert all(at > 4990 for at, _ in track.points(4990))
    assert track.points(4999) == []


def test_the_number_of_tracks_is_bounded() -> None:
    """More are said to be left out; one that has been idle for long gives way."""
    book = Book()
    for number in range(MOST_TRACKS + 5):
        book.add(NET, line(number), 100.0, 1.0)
    assert len(list(book.each(-math.inf))) == MOST_TRACKS
    assert len(book.left_out) == 5
    for number in range(1, MOST_TRACKS):
        book.add(NET, line(number), 1000.0, 1.0)
    book.add(NET, line(MOST_TRACKS), 1000.0, 1.0)
    assert book.newest(NET, line(0)) is None
    assert book.newest(NET, line(MOST_TRACKS)) == 1.0
    assert len(book.left_out) == 4


def test_a_point_that_comes_after_a_report_is_in_the_next() -> None:
    """Also if it is of a time before: it was read by then, and had not been taken."""
    book = Book()
    book.add(NET, line(), 10.0, 1.0)
    book.reported(11.0)
    book.add(NET, line(), 10.5, 2.0)
    assert [[value for _, value in points] for _, _, points in book.each(11.0)] == [[2.0]]


def test_snapshots_are_bounded_and_whole() -> None:
    """The first and the newest are there, and what lies between is evenly spread."""
    kept = Snapshots()
    for index in range(1, 1001):
        kept.add(Distribution((0.0,), (1, index), 0.5, timestamp=float(index)), float(index))
    times = [one.at for one in kept.since(-math.inf)]
    assert len(times) <= snapshots.MOST
    assert (times[0], times[-1]) == (1, 1000)
    assert {after - before for before, after in pairwise(times[:-1])} == {16}


def test_a_snapshot_is_taken_once() -> None:
    """It is seen at each sample until there is another one."""
    kept = Snapshots()
    for _ in range(3):
        kept.add(Distribution((0.0,), (1, 2), 0.5, timestamp=7.0), 7.0)
    assert len(kept.since(-math.inf)) == 1
    assert kept.since(7.0) == []

"""What a watch remembers: which series are of one model, and what has happened to each, in bounded room."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from watching import LOSS, Page, history_of, only, sample

from gangplank.drift_series import DriftSeries
from gangplank.training import TrainingRun
from gangplank.watch import history as remembered
from gangplank.watch.history import History
from gangplank.watch.reading import Reading
from gangplank.watch.track import MOST_POINTS, Track
from gangplank.watch.views import View, views

ERRORS = "gangplank_predict_errors_total"


def test_groups_of_a_gateway_are_one_model() -> None:
    """The phases of a job are kept apart at a gateway; jobs, instances and ranks are different runs."""
    history = History()
    seen = [
        sample(LOSS, 1.0, job="a", phase="train"),
        sample("gangplank_predict_total", 1.0, job="a", phase="predict"),
        sample("gangplank_train_last_success_timestamp_seconds", 1.0, job="a"),
        sample(LOSS, 2.0, job="a", phase="train", rank="1"),
        sample(LOSS, 3.0, job="b", phase="train", instance="i"),
        sample(LOSS, 4.0, job="a", model="other"),
    ]
    history.take(Reading(1.0, tuple(seen)))
    found = {(one.key.model, tuple(sorted(one.key.origin))): one for one in history.subjects}
    assert list(found) == [
        ("net", (("instance", "i"), ("job", "b"))),
        ("net", (("job", "a"),)),
        ("net", (("job", "a"), ("rank", "1"))),
        ("other", (("job", "a"),)),
    ]
    assert views(found["net", (("job", "a"),)]) == [View.TRAINING, View.INFERENCE]


def test_labels_of_a_metric_are_no_other_model() -> None:
    """A detector, an outcome and a method are the model's own, as the catalogue has them."""
    page = Page()
    TrainingRun(page.telemetry, "net").end()
    DriftSeries(page.telemetry, "net", "mmd", expected_run_time=500)
    subject = page.read()
    assert subject.key.origin == frozenset()
    assert views(subject) == [View.TRAINING, View.DRIFT]
    assert subject.value("gangplank_train_outcome", outcome="success") == 1


def test_what_a_process_says_of_itself_goes_with_its_models() -> None:
    """Pushes that failed have no label of a model."""
    history = History()
    failed = sample("gangplank_export_pushes_total", 3.0, model="", result="failure", job="a")
    history.take(Reading(1.0, (sample(LOSS, 1.0, job="a"), sample(LOSS, 1.0, job="b"), failed)))
    first, second = history.subjects
    process = history.process_of(first)
    assert process is not None
    assert process.value("gangplank_export_pushes_total", result="failure") == 3
    assert history.process_of(second) is None


def test_a_counter_that_begins_anew_goes_on() -> None:
    """A process that is started again counts from 0."""
    track = Track(is_counter=True)
    for second, value in enumerate([100.0, 110.0, 4.0, 5.0, math.nan, 7.0]):
        track.add(float(second), value)
    assert [value for _, value in track.points] == [0, 10, 14, 15, 15, 15]
    assert track.latest == 7


def test_a_counter_that_was_not_there_counted_nothing() -> None:
    """The first error makes its series, and is an increase; a model that is new may have counted for long."""
    history = history_of("gangplank_predict_total", [5.0])
    found = sample("gangplank_predict_total", 5.0), sample(ERRORS, 1.0, method="predict", error_type="ValueError")
    history.take(Reading(1.0, found))
    track = only(history).track(ERRORS, method="predict", error_type="ValueError")
    assert track is not None
    assert [value for _, value in track.points] == [0, 1]
    total = only(history).track("gangplank_predict_total")
    assert total is not None
    assert [value for _, value in total.points] == [0, 0]


def test_what_goes_missing_is_a_gap_and_not_the_last_value() -> None:
    """A loss that turned NaN leaves the page."""
    history = history_of(LOSS, [1.0])
    history.take(Reading(1.0, (sample("gangplank_train_running", 1.0),)))
    assert only(history).value(LOSS) is None
    history.take(Reading(2.0, (sample("gangplank_train_running", 1.0), sample(LOSS, 3.0))))
    track = only(history).track(LOSS)
    assert track is not None
    assert [str(value) for _, value in track.points] == ["1.0", "nan", "3.0"]


def test_a_model_that_goes_stays_to_be_seen_as_it_was() -> None:
    """Marked; and where it was away its lines are broken."""
    history = history_of(LOSS, [1.0])
    history.take(Reading(5.0, ()))
    subject = only(history)
    assert (subject.is_present, subject.seen, subject.value(LOSS)) == (False, 0.0, 1.0)
    history.take(Reading(6.0, (sample(LOSS, 2.0),)))
    assert subject.is_present
    track = subject.track(LOSS)
    assert track is not None
    assert [str(value) for _, value in track.points] == ["1.0", "nan", "2.0"]


@pytest.mark.parametrize("count", [MOST_POINTS, MOST_POINTS + 1, 10 * MOST_POINTS])
def test_a_long_past_is_thinned_and_not_cut(count: int) -> None:
    """The first and the newest point are there, and those between are nowhere far apart."""
    track = Track()
    for second in range(count):
        track.add(float(second), float(second))
    points = track.points
    assert len(points) <= MOST_POINTS + 3  # which are not settled yet
    assert points[0] == (0.0, 0.0)
    assert points[-1] == (count - 1.0, count - 1.0)
    gaps = [later - sooner for (sooner, _), (later, _) in pairwise(points[:-1])]
    assert max(gaps) <= 4 * count / MOST_POINTS


def test_a_clock_that_is_set_back_does_no_harm() -> None:
    """Times stay in order."""
    track = Track()
    for time in (10.0, 5.0, 11.0):
        track.add(time, time)
    times = [time for time, _ in track.points]
    assert times == sorted(set(times))
    assert len(times) == 3


def test_models_that_went_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are there are kept, and what finds no room is counted."""
    monkeypatch.setattr(remembered, "MOST_SUBJECTS", 2)
    history = History()
    for time, names in enumerate([("a", "b"), ("b", "c"), ("b", "c", "d")]):
        history.take(Reading(float(time), tuple(sample(LOSS, 1.0, model=name) for name in names)))
    assert [one.key.model for one in history.subjects] == ["b", "c"]
    assert history.left_out == 1

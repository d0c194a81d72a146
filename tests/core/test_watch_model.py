"""What is said and drawn of a model, made from the pages that Gangplank itself writes."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
from calls import measured
from watching import LOSS, Page, history_of, only, sample

from gangplank import DriftResult, summarize_weights
from gangplank.catalogue import CATALOGUE
from gangplank.drift_series import DriftSeries
from gangplank.inference import Inference
from gangplank.metrics import Phase
from gangplank.runs import Run
from gangplank.training import TrainingRun
from gangplank.watch.charts import Chart, charts
from gangplank.watch.facts import facts
from gangplank.watch.heatmap import Heatmap, heatmap
from gangplank.watch.history import Subject
from gangplank.watch.reading import Reading, is_read
from gangplank.watch.run_state import run_state
from gangplank.watch.selection import Selection
from gangplank.watch.track import Track
from gangplank.watch.views import View, own_metrics, views


@pytest.fixture
def page() -> Page:
    """A telemetry's page."""
    return Page()


def said(page: Page, view: View) -> dict[str, str]:
    """Return what is said of the one model in a view."""
    return {fact.label: fact.text for fact in facts(page.read(), view, page.clock.time())}


def word(page: Page, phase: Phase = Phase.TRAIN) -> str:
    """Return how the run of the one model is doing."""
    state = run_state(page.read(), phase, page.clock.time())
    assert state is not None
    return f"{state.word} {state.detail}".strip()


def drawn(subject: Subject, view: View) -> dict[str, Chart]:
    """Return the charts of a view by their titles."""
    return {chart.title: chart for chart in charts(subject, view) if isinstance(chart, Chart)}


@pytest.mark.parametrize(
    ("error", "values", "expected"),
    [
        (None, {"loss": 0.5}, "done"),
        (None, {"loss": math.nan}, "diverged its loss is NaN or infinite"),
        (ValueError("x"), {"loss": 0.5}, "failed an exception ended it"),
        (KeyboardInterrupt(), {"loss": 0.5}, "interrupted before it was done"),
    ],
)
@pytest.mark.parametrize("phase", [Phase.TRAIN, Phase.TEST])
def test_how_a_run_ended(
    phase: Phase, error: BaseException | None, values: dict[str, float], expected: str, page: Page
) -> None:
    """In a word and more; until then it is running."""
    run = TrainingRun(page.telemetry, "net") if phase is Phase.TRAIN else Run(page.telemetry, phase, "net")
    assert word(page, phase) == ("running no step yet" if phase is Phase.TRAIN else "running")
    run.report(values)
    run.end(error)
    assert word(page, phase) == expected


def test_a_run_that_takes_no_steps_is_stalled(page: Page) -> None:
    """By the clock that is watched with: another's may be wrong, once a step was seen to be taken."""
    run = TrainingRun(page.telemetry, "net")
    for _ in range(100):
        run.step()
    assert word(page) == "running"
    page.clock.advance(121)
    assert word(page) == "stalled no step for 2m 01s"
    run.step()
    assert word(page) == "running"
    page.clock.advance(119)
    assert word(page) == "running"
    page.clock.advance(3)
    assert word(page).startswith("stalled")
    run.end()
    assert word(page) == "done"


def test_a_run_whose_first_step_does_not_come_is_stalled(page: Page) -> None:
    """Five minutes are given to a compiler."""
    TrainingRun(page.telemetry, "net")
    page.clock.advance(299)
    assert word(page) == "running no step yet"
    page.clock.advance(2)
    assert word(page).startswith("stalled no step for 5m")


def test_a_clock_that_is_behind_makes_no_stalled_run() -> None:
    """It is an hour behind ours, and steps are taken."""
    history = history_of("gangplank_train_running", [1.0])
    for second in (5000.0, 5002.0, 5004.0):
        step = sample("gangplank_train_last_step_timestamp_seconds", second - 3600)
        history.take(Reading(second, (sample("gangplank_train_running", 1.0), step)))
    state = run_state(only(history), Phase.TRAIN, 5005.0)
    assert state is not None
    assert state.word == "running"


def test_a_run_with_long_epochs_is_not_stalled(page: Page) -> None:
    """Three of them are waited for, and a minute: validation takes no steps."""
    run = TrainingRun(page.telemetry, "net")
    run.begin_epoch()
    for _ in range(100):
        run.step()
    page.clock.advance(600)
    run.epoch({"loss": 0.5})
    page.clock.advance(1700 - 600)
    assert word(page) == "running"
    page.clock.advance(161)
    assert word(page).startswith("stalled")


def test_a_run_with_long_steps_is_not_stalled(page: Page) -> None:
    """Twenty of them are waited for, and a minute."""
    run = TrainingRun(page.telemetry, "net")
    run.begin_epoch()
    for _ in range(2):
        page.clock.advance(60)
        run.step()
    page.clock.advance(600)
    assert word(page) == "running"
    page.clock.advance(661)
    assert word(page).startswith("stalled")


def test_a_loss_that_is_no_number_is_said_and_leaves_a_gap(page: Page) -> None:
    """It is never shown at its last good value."""
    run = TrainingRun(page.telemetry, "net")
    for value in (0.5, math.nan):
        run.epoch({"loss": value, "mae": 1.0})
        page.clock.advance(1)
        page.read()
    assert word(page) == "diverging its loss is NaN or infinite"
    assert said(page, View.TRAINING)["loss"] == "not finite (1 NaN or infinite)"
    line = drawn(page.read(), View.TRAINING)["loss"].lines[0]
    assert line.points[0][1] == 0.5
    assert line.newest == "NaN"


def test_how_long_a_run_has_to_go(page: Page) -> None:
    """If it is known how many epochs there will be, and while it runs."""
    run = TrainingRun(page.telemetry, "net")
    run.plan(4)
    assert said(page, View.TRAINING)["epochs planned"] == "4"
    assert "left" not in said(page, View.TRAINING)
    run.begin_epoch()
    page.clock.advance(20)
    run.epoch({"loss": 0.5})
    assert said(page, View.TRAINING)["left"] == "1m 00s"
    run.end()
    assert "left" not in said(page, View.TRAINING)


def test_training_in_facts_and_charts(page: Page) -> None:
    """Each metric is drawn with its validation, the loss first."""
    run = TrainingRun(page.telemetry, "net")
    run.parameters(104_202)
    page.read()
    for epoch in range(3):
        run.begin_epoch()
        for _ in range(10):
            page.clock.advance(0.02)
            run.step()
        run.learning_rate(0.001)
        run.epoch({"accuracy": 0.9, "loss": 0.25 / (epoch + 1), "val_loss": 0.5, "val_auc": 0.1})
        page.read()
    found = said(page, View.TRAINING)
    assert found["state"] == "running"
    assert (found["epochs"], found["steps"], found["parameters"]) == ("3", "30", "104,202")
    assert (found["loss"], found["val loss"], found["learning rate"]) == ("0.08333", "0.5", "0.001")
    assert (found["step"], found["elapsed"]) == ("20 ms", "600 ms")
    subject = page.read()
    assert own_metrics(subject, Phase.TRAIN) == ["loss", "val_loss", "accuracy", "val_auc"]
    titles = list(drawn(subject, View.TRAINING))
    assert titles[:3] == ["loss", "accuracy", "val_auc"]
    assert {"learning rate", "step time, seconds"} <= set(titles)
    loss, validation = drawn(subject, View.TRAINING)["loss"].lines
    assert {value for _, value in loss.points if math.isfinite(value)} == {0.25, 0.125, 0.25 / 3}
    assert (validation.name, validation.newest) == ("val_loss", "0.5")


def test_how_weights_are_spread(page: Page) -> None:
    """The least, the mean and the greatest, as often as they are read."""
    run = TrainingRun(page.telemetry, "net")
    for scale in (1.0, 2.0):
        run.weights(summarize_weights([np.array([-0.5, 0.0, 1.0]) * scale], (0.0,)))
        page.clock.advance(1)
        page.read()
    lines = {
        line.name: [value for _, value in line.points] for line in drawn(page.read(), View.TRAINING)["weights"].lines
    }
    assert {name: values[0] for name, values in lines.items()} == {"least": -0.5, "mean": 0.5 / 3, "greatest": 1.0}
    assert {name: values[-1] for name, values in lines.items()} == {"least": -1.0, "mean": 1 / 3, "greatest": 2.0}


def test_the_distribution_of_weights_over_time(page: Page) -> None:
    """In the buckets that each reading has, closed at the least and the greatest weight; empty ones are left out."""
    run = TrainingRun(page.telemetry, "net")
    for scale, bounds in ((1.0, (-0.25, 0.0, 0.25)), (4.0, (-1.0, 0.0, 1.0))):
        run.weights(summarize_weights([np.array([-0.5, 0.1, 0.2, 0.5]) * scale], bounds))
        page.clock.advance(1)
        page.read()
    (found,) = (one for one in charts(page.read(), View.TRAINING) if isinstance(one, Heatmap))
    shares = [(0.0, 0.25, 0.5), (0.25, 0.5, 0.25)]
    assert found.columns[0][1] == [(-0.5, -0.25, 0.25), *shares]
    assert found.columns[-1][1] == [(4 * low, 4 * high, share) for low, high, share in found.columns[0][1]]


def test_a_distribution_of_no_weights_is_not_drawn(page: Page) -> None:
    """Nor is one of a metric that has no buckets."""
    TrainingRun(page.telemetry, "net").weights(summarize_weights([np.array([math.nan])], (0.0,)))
    assert not [one for one in charts(page.read(), View.TRAINING) if isinstance(one, Heatmap)]
    assert heatmap("x", [(1.0, Track())], None, None) is None


def test_inference_in_facts_and_charts(page: Page) -> None:
    """Rates of the last half minute, a failed call among them."""
    inference = Inference(page.telemetry, "net")

    def predict(batch: list[int]) -> list[int]:
        page.clock.advance(0.1)
        if not batch:
            raise ValueError
        return batch

    call = measured(inference, predict)
    page.read()
    for _ in range(9):
        call([1, 2])
    with contextlib.suppress(ValueError):
        call([])
    found = said(page, View.INFERENCE)
    assert (found["calls"], found["errors"], found["failed"]) == ("10", "1", "10 %")
    assert (found["calls per second"], found["samples per second"]) == ("10", "18")
    assert (found["in flight"], found["batch size"]) == ("0", "2")
    low, high = (float(found[name].split()[0]) for name in ("p50", "p99"))
    assert 50 <= low <= high <= 250
    page.clock.advance(60)
    assert said(page, View.INFERENCE)["calls per second"] == "0"
    titles = drawn(page.read(), View.INFERENCE)
    assert [line.name for line in titles["time of a call, seconds"].lines] == ["p50", "p90", "p99"]
    assert titles["share of calls that failed"].lines[0].points[0][1] == 0.1


def test_drift_in_facts_and_charts(page: Page) -> None:
    """The statistic against its threshold, detector by detector."""
    for name in ("mmd", "ks"):
        series = DriftSeries(page.telemetry, "net", name, expected_run_time=500)
        result = DriftResult(drift_detected=name == "ks", test_statistic=0.1, threshold=0.2, observations=5)
        series.tested(5, result)
    found = said(page, View.DRIFT)
    assert (found["mmd detected"], found["ks detected"]) == ("0", "1")
    assert (found["mmd statistic"], found["mmd threshold"], found["ks tested"]) == ("0.1", "0.2", "5")
    lines = drawn(page.read(), View.DRIFT)["test statistic of mmd"].lines
    assert [(line.name, line.points[-1][1]) for line in lines] == [("statistic", 0.1), ("threshold", 0.2)]


def test_a_process_whose_pushes_fail_is_told_of() -> None:
    """Beside whatever is looked at."""
    history = history_of(LOSS, [1.0])
    failed = sample("gangplank_export_pushes_total", 3.0, model="", result="failure")
    history.take(Reading(1.0, (sample(LOSS, 1.0), failed)))
    subject = only(history)
    found = facts(subject, View.TRAINING, 1.0, history.process_of(subject))
    assert [fact.text for fact in found if fact.key == "failed_pushes"] == ["3"]


def test_what_is_many_is_not_read() -> None:
    """Buckets of distributions that nothing is drawn of, and what is said of each layer."""
    names = {row.prometheus_name for row in CATALOGUE}
    assert is_read("gangplank_train_my_metric")
    assert {name for name in names if not is_read(name)} == {
        name for name in names if "_layer_" in name and "_combined" not in name
    }
    assert is_read("gangplank_train_model_weights_bucket")
    assert not is_read("gangplank_train_step_duration_seconds_bucket")
    assert is_read("gangplank_predict_duration_seconds_bucket")


def test_a_selection_stays_with_its_model() -> None:
    """When another comes before it, and when it goes; and everything can be walked round."""
    history = history_of(LOSS, [1.0], model="m")
    selection = Selection(history)
    selection.move_model(1)
    seen = sample(LOSS, 1.0, model="a"), sample("gangplank_predict_drift_p_value", 0.5, model="a")
    history.take(Reading(1.0, (*seen, sample("gangplank_train_mae", 1.0, model="m"))))
    assert selection.subject is not None
    assert (selection.subject.key.model, selection.place) == ("m", (2, 2))
    history.take(Reading(2.0, seen))
    assert selection.subject.key.model == "m"
    selection.move_chart(1)
    assert [chart.title for chart in selection.charts] == ["mae", "loss"]
    selection.move_chart(-1)
    assert [chart.title for chart in selection.charts] == ["loss", "mae"]
    selection.move_model(1)
    assert selection.place == (1, 2)
    assert (selection.view, views(selection.subject)) == (View.TRAINING, [View.TRAINING, View.DRIFT])
    seen_views: list[View] = []
    for _ in range(3):
        selection.move_view(1)
        seen_views.append(selection.view)
    assert seen_views == [View.DRIFT, View.TRAINING, View.DRIFT]

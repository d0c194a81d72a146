"""What is kept of training and inference, as the page reads it."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from gangplank import Telemetry, summarize_weights
from gangplank.catalogue import metric
from gangplank.exporters.exposition import hide, show
from gangplank.exporters.page.watch import Watch
from gangplank.history.quantiles import quantile
from gangplank.history.recorder import History
from gangplank.inference import Inference
from gangplank.metrics import Phase
from gangplank.testing import InMemoryExporter
from gangplank.training import TrainingRun
from gangplank.trouble import Trouble

Line = dict[str, Any]
BOUNDS = (0.1, 1.0)


class Noting(InMemoryExporter):
    """An exit that notes what a page would have noted."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = CollectorRegistry()
        self.watch = Watch(self.registry, Trouble(logging.getLogger("test")))
        self.watch._sampler.stop()  # samples are taken by hand

    def start(self, state: Any, trouble: Any) -> Noting:
        """Show the state to the watch, too."""
        self.state = state
        show(state, self.registry)
        super().start(state, trouble)
        return self

    def notify(self) -> None:
        """Note it."""
        self.watch.note(self.state)

    def close(self, timeout: float) -> None:
        """Show the state no longer."""
        hide(self.state, self.registry)

    def report(self, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return a report as a page gets it: through JSON."""
        before = before or {"boot": "", "now": 0.0}
        found: dict[str, Any] = json.loads(
            json.dumps(self.watch.report(before["boot"], before["now"]), allow_nan=False)
        )
        return found

    def line(self, chart: str, name: str = "training", model: str = "net") -> Line:
        """Return a line, with numbers."""
        report = self.report()
        [found] = [
            line
            for line in report["lines"]
            if (line["chart"], line["name"], report["subjects"][line["subject"]]["model"]) == (chart, name, model)
        ]
        return {**found, "v": [float(value) for value in found["v"]]}

    def facts(self, part: str) -> dict[str, Any]:
        """Return what is said of the one model."""
        [subject] = self.report()["subjects"]
        found: dict[str, Any] = subject[part]
        return found


@pytest.fixture
def noting() -> Noting:
    """What notes."""
    return Noting()


@pytest.fixture
def telemetry(noting: Noting) -> Any:
    """A telemetry with that exit."""
    with Telemetry(exporters=[noting]) as telemetry:
        yield telemetry


def epochs(run: TrainingRun, telemetry: Telemetry, values: list[float], first: int = 1, name: str = "loss") -> None:
    """Report epochs."""
    for number, value in enumerate(values, first):
        run.begin_epoch(number)
        run.step_to(3)
        run.end_epoch(number, [(name, value), (f"val_{name}", value + 1)])
        telemetry.notify()


def test_one_point_an_epoch_however_short(noting: Noting, telemetry: Telemetry) -> None:
    """Epochs of a tenth of a millisecond, which no thread could see, beside the samples of a thread."""
    values = [1 / (1 + number) for number in range(300)]
    with telemetry.training_run("net") as run:
        for number, value in enumerate(values, 1):
            epochs(run, telemetry, [value], number)
            if number % 7 == 0:
                noting.watch.sample()
    assert noting.line("loss")["v"] == values
    assert noting.line("loss", "validation")["v"] == [value + 1 for value in values]
    assert noting.line("epochs", "epochs")["v"] == list(range(1, 301))
    assert noting.line("loss")["t"] == noting.line("epochs", "epochs")["t"]


def test_a_value_that_stays_the_same_has_a_point_an_epoch(noting: Noting, telemetry: Telemetry) -> None:
    """An accuracy of 1 is one at each epoch; looked at more often, it is no more points."""
    with telemetry.training_run("net") as run:
        epochs(run, telemetry, [1.0] * 5)
        for _ in range(3):
            noting.watch.sample()
            telemetry.notify()
    assert noting.line("loss")["v"] == [1.0] * 5


def test_values_within_an_epoch(noting: Noting, telemetry: Telemetry) -> None:
    """Those that change, be they noted by the loop or sampled beside it; validation has one an epoch still."""
    with telemetry.training_run("net") as run:
        epochs(run, telemetry, [3.0])
        run.step({"loss": 2.5})
        telemetry.notify()
        run.step({"loss": 2.25})
        noting.watch.sample()
        noting.watch.sample()
        run.end_epoch(2, [("loss", 2.25), ("val_loss", 3.0)])
        telemetry.notify()
    assert noting.line("loss")["v"] == [3.0, 2.5, 2.25]  # the last was seen just before the epoch was over
    assert noting.line("loss", "validation")["v"] == [4.0, 3.0]
    assert noting.line("loss")["t"][-1] == noting.line("epochs", "epochs")["t"][-1]


def test_after_the_machine_slept_a_run_that_takes_no_steps_is_stalled(
    noting: Noting, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that measures durations may stand still meanwhile. What is shown goes back for no clock."""
    unix = time.time
    with telemetry.training_run("net") as run:
        epochs(run, telemetry, [1.0])
        noting.watch.sample()
        assert noting.facts("training")["state"] == "running"
        for slept in (3600, 0):
            monkeypatch.setattr("gangplank.history.recorder.time.time", lambda slept=slept: unix() + slept)
            noting.watch.sample()
            assert noting.facts("training")["words"].startswith("Stalled: no step for 1h 00m")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_shown_as_it_is(noting: Noting, telemetry: Telemetry, bad: float) -> None:
    """Though a scrape has no such series then."""
    with telemetry.training_run("net") as run:
        epochs(run, telemetry, [1.0, bad])
        names = {"nan": "NaN", "inf": "infinite", "-inf": "minus infinite"}
        assert noting.facts("training")["state"] == "diverging"
        assert noting.facts("training")["words"] == f"Diverging: its loss is {names[str(bad)]}"
        epochs(run, telemetry, [0.5], 3)
        assert noting.facts("training")["state"] == "running"
        epochs(run, telemetry, [bad], 4)
    assert str(noting.line("loss")["v"]) == str([1.0, bad, 0.5, bad])
    assert noting.facts("training")["state"] == "diverged"
    assert noting.facts("training")["words"].endswith(names[str(bad)])


def test_a_new_run_begins_anew(noting: Noting, telemetry: Telemetry) -> None:
    """Its curves are not hung behind those of the run before; nor does what the old run says late come in between."""
    old = telemetry.training_run("net")
    epochs(old, telemetry, [9.0, 8.0])
    before = noting.facts("training")["run"]
    old.weights(summarize_weights([], BOUNDS))
    with telemetry.training_run("net") as run:
        old.end_epoch(3, [("loss", 7.0)])
        epochs(run, telemetry, [0.5], 5)  # resumed
    assert noting.line("loss")["v"] == [0.5]
    assert noting.line("epochs", "epochs")["v"] == [5]
    assert noting.facts("training")["run"] > before  # by which a page that is open hears of it


def test_what_was_read_before_the_last_note_begins_no_run_anew(
    noting: Noting, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch may end between the reading of a sample and its being taken."""
    with telemetry.training_run("net") as run:
        epochs(run, telemetry, [3.0, 2.0])
        sample = History.sample

        def late(history: History, *given: Any) -> None:
            epochs(run, telemetry, [1.0], 3)
            sample(history, *given)

        monkeypatch.setattr(History, "sample", late)
        noting.watch.sample()
        assert noting.line("loss", "training")["v"] == [3.0, 2.0, 1.0]


def test_of_many_models_the_newest_are_shown(noting: Noting, telemetry: Telemetry) -> None:
    """As a search over models makes them."""
    for number in range(105):
        with telemetry.training_run(f"net_{number}") as run:
            epochs(run, telemetry, [1.0])
            noting.watch.sample()
    shown = [subject["model"] for subject in noting.report()["subjects"]]
    assert len(shown) == 100
    assert shown[-1] == "net_104"


def test_models_and_ranks_are_kept_apart(noting: Noting, telemetry: Telemetry) -> None:
    """Each is a subject of its own."""
    with telemetry.training_run("net", rank=0) as first, telemetry.training_run("net", rank=1) as second:
        epochs(first, telemetry, [1.0])
        epochs(second, telemetry, [2.0])
    with telemetry.training_run("art") as art:
        epochs(art, telemetry, [3.0])
    found = [(one["model"], one["labels"]) for one in noting.report()["subjects"]]
    assert found == [("net", {"rank": "0"}), ("net", {"rank": "1"}), ("art", {})]
    assert noting.line("loss", model="art")["v"] == [3.0]


def test_progress_and_time_left(noting: Noting, telemetry: Telemetry) -> None:
    """By the epochs that are planned, where they are."""
    with telemetry.training_run("net", epochs=4) as run:
        assert noting.facts("training")["left"] is None
        for number in (1, 2):
            time.sleep(0.05)
            epochs(run, telemetry, [1.0], number)
        facts = noting.facts("training")
        assert (facts["epochs"], facts["planned"]) == (2, 4)
        assert 0.02 < facts["left"] < 5
    assert noting.facts("training")["left"] is None
    with telemetry.training_run("net") as run:
        epochs(run, telemetry, [1.0])
        assert noting.facts("training")["planned"] is None


def test_the_step_time_is_the_mean_of_an_epochs(noting: Noting, telemetry: Telemetry) -> None:
    """Exactly, from the histogram's own sum."""
    duration = telemetry.state.histogram(metric(Phase.TRAIN, "step_duration"), model="net")
    with telemetry.training_run("net") as run:
        for number, seconds in enumerate((0.25, 0.5), 1):
            duration.observe(seconds, 2)
            run.end_epoch(number, [])
            telemetry.notify()
    assert noting.line("Step time", "mean")["v"] == [0.25, 0.5]


def test_weights_over_epochs(noting: Noting, telemetry: Telemetry) -> None:
    """Each reading once, and only what is new in the next report."""
    with telemetry.training_run("net") as run:
        for number in (1, 2, 3):
            run.weights(summarize_weights([np.array([0.05, 0.5, 5.0 * number])], BOUNDS))
            epochs(run, telemetry, [1.0], number)
    report = noting.report()
    [subject] = report["subjects"]
    assert [(one["epochs"], one["bounds"], one["counts"], one["greatest"]) for one in subject["weights"]] == [
        (number, [0.1, 1.0], [1, 1, 1], 5.0 * number) for number in (1, 2, 3)
    ]
    [later] = noting.report(report)["subjects"]
    assert later["weights"] == []


def test_a_report_has_what_the_last_one_had_not(noting: Noting, telemetry: Telemetry) -> None:
    """Together they are the whole; of another history, all is told."""
    with telemetry.training_run("net") as run:
        epochs(run, telemetry, [1.0, 2.0])
        first = noting.report()
        epochs(run, telemetry, [3.0], 3)
        second = noting.report(first)
    found = [
        [line["v"] for line in report["lines"] if line["metric"] == "gangplank_train_loss"]
        for report in (first, second)
    ]
    assert found == [[[1.0, 2.0]], [[3.0]]]
    assert noting.report({"boot": "another", "now": first["now"]})["lines"][0]["v"] == noting.report()["lines"][0]["v"]


def fails() -> None:
    """Raise."""
    raise ValueError("too hot")


def called(telemetry: Telemetry, answer: Callable[[], Any], model: str = "net") -> Callable[[], Any]:
    """Return a measured function."""
    inference = Inference(telemetry, model, is_exact=True)
    measured: Any = inference.measured(
        answer, "predict", is_call=False, sizes={list: len}, is_trace=lambda given: False
    )
    measured.inference = inference
    return measured  # type: ignore[no-any-return]


def test_rates_and_latency_of_inference(noting: Noting, telemetry: Telemetry) -> None:
    """Between samples: how many calls, how many of them failed, how many samples, and how long they took."""
    works, breaks = called(telemetry, lambda: [0, 0, 0]), called(telemetry, fails)
    for _ in range(3):
        works()
    with pytest.raises(ValueError, match="too hot"):
        breaks()
    noting.watch.sample()
    noting.watch.sample()
    all_calls, failed = noting.line("Calls a second", "all"), noting.line("Calls a second", "failed")
    assert all_calls["v"][0] == pytest.approx(4 * failed["v"][0])
    assert all_calls["v"][1] == failed["v"][1] == 0
    assert noting.line("Samples a second", "predicted")["v"][0] == pytest.approx(9 * failed["v"][0])
    assert noting.line("Share of calls that fail", "failed")["v"] == [25.0]
    assert len(noting.line("Latency", "median")["v"]) == 1  # where nothing is called there is no latency
    assert 0 < noting.line("Latency", "median")["v"][0] <= noting.line("Latency", "99 %")["v"][0]
    facts = noting.facts("inference")
    assert (facts["calls"], facts["failed"], facts["samples"], facts["in_flight"]) == (4, 1, 9, 0)
    assert facts["errors"] == {"ValueError": 1}


def test_drift_beside_its_threshold(noting: Noting, telemetry: Telemetry) -> None:
    """Each detector is a chart of its own, and says in words what it found."""
    state, labels = telemetry.state, {"model": "net", "detector": "mmd"}
    for suffix, value in (("drift_test_statistic", 0.5), ("drift_threshold", 0.75)):
        state.gauge(metric(Phase.PREDICT, suffix), **labels).set(value)
    detected = state.counter(metric(Phase.PREDICT, "drift_detected"), **labels)
    noting.watch.sample()
    assert noting.report()["subjects"][0]["drift"][0]["words"] == "No drift"
    detected.add(2)
    noting.watch.sample()
    assert noting.line("mmd", "test statistic")["v"] == [0.5, 0.5]
    assert noting.line("mmd", "threshold")["v"] == [0.75, 0.75]
    assert noting.line("mmd", "detections")["v"] == [0, 2]
    assert noting.report()["subjects"][0]["drift"][0]["words"] == "Drift detected 2 times"


def test_trouble_of_telemetry_is_told(noting: Noting, telemetry: Telemetry) -> None:
    """With the kind of error, and how often."""
    telemetry.trouble.report("do something", OSError())
    telemetry.trouble.report("do something", OSError())
    assert noting.report()["trouble"] == ["2 of OSError"]


@pytest.mark.parametrize(
    ("cumulative", "share", "value"),
    [
        ((0, 0, 0), 0.5, None),
        ((4, 4, 4), 0.5, 0.5),
        ((0, 4, 4), 0.5, 2.0),
        ((0, 0, 4), 0.5, 3.0),
        ((2, 4, 4), 0.5, 1.0),
        ((1, 1, 4), 0.9, 3.0),
        ((10, 90, 100), 0.5, 2.0),
    ],
)
def test_quantiles_are_those_of_prometheus(cumulative: tuple[int, ...], share: float, value: float | None) -> None:
    """Of the buckets up to 1, up to 3, and beyond."""
    assert quantile(share, (1.0, 3.0), cumulative) == value

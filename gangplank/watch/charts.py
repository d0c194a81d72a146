"""What there is to draw of a model, view by view."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gangplank import words
from gangplank.catalogue import metric
from gangplank.history.track import Point
from gangplank.metrics import Phase
from gangplank.watch import rates
from gangplank.watch.facts import QUANTILES, buckets, calls, detectors, named
from gangplank.watch.heatmap import Heatmap, heatmap
from gangplank.watch.history import Subject
from gangplank.watch.reading import WEIGHTS
from gangplank.watch.views import PHASES, View, own_metrics


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart.

    Attributes:
        name: What it is called.
        points: Unix times and values, oldest first; a value that is not finite is a gap.
    """

    name: str
    points: list[Point]

    @property
    def newest(self) -> str:
        """Its newest value, NaN and infinity included."""
        return words.number(self.points[-1][1]) if self.points else "none"


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines that share an axis.

    Attributes:
        title: What is drawn, with its unit.
        lines: One or some.
        from_zero: The axis begins at zero, since how much there is counts, and not how it changes.
    """

    title: str
    lines: list[Line]
    from_zero: bool = False


def charts(subject: Subject, view: View) -> list[Chart | Heatmap]:
    """Return what there is to draw in a view; a chart without a single number in it is left out."""
    phase = PHASES.get(view)
    found = _of_run(subject, phase) if phase is not None else _OF_VIEW[view](subject)
    drawn: list[Chart | Heatmap] = [
        chart for chart in found if any(math.isfinite(value) for line in chart.lines for _, value in line.points)
    ]
    if phase is not None:
        weights = _distribution(subject, phase)
        drawn += [] if weights is None else [weights]
    return drawn


def _of_run(subject: Subject, phase: Phase) -> Iterator[Chart]:
    names = own_metrics(subject, phase)
    for name in names:
        if name.startswith("val_") and name.removeprefix("val_") in names:
            continue
        twins = [twin for twin in (name, f"val_{name}") if twin in names]
        yield Chart(name, [Line(twin, _points(subject, f"gangplank_{phase.value}_{twin}")) for twin in twins])
    if phase is Phase.TRAIN:
        yield _gauge(subject, phase, "learning rate", "learning_rate")
        steps = _mean(subject, phase, "step_duration")
        yield Chart("step time, seconds", [Line("mean", steps)], from_zero=True)
        yield _gauge(subject, phase, "epoch time, seconds", "epoch_duration")
        yield _gauge(subject, phase, "update ratio of the weights", "model_weights_update_ratio")
        yield _gauge(subject, phase, "norm of the gradients", "model_gradients_norm")
    yield _gauge(subject, phase, "norm of the weights", "model_weights_norm")
    spread = (("least", "min"), ("mean", "mean"), ("greatest", "max"))
    extremes = {key: metric(phase, f"model_weights_{suffix}").prometheus_name for key, suffix in spread}
    yield Chart("weights", [Line(key, points) for key, name in extremes.items() if (points := _points(subject, name))])


def _distribution(subject: Subject, phase: Phase) -> Heatmap | None:
    least, greatest = (
        subject.track(metric(phase, f"model_weights_{suffix}").prometheus_name) for suffix in ("min", "max")
    )
    return heatmap("distribution of the weights", buckets(subject, WEIGHTS[phase]), least, greatest)


def _of_inference(subject: Subject) -> Iterator[Chart]:
    counts, errors = calls(subject), named(subject, "errors")
    lines = [Line("calls", rates.rates(counts))]
    if errors:
        lines.append(Line("errors", rates.rates(errors)))
    yield Chart("calls a second", lines, from_zero=True)
    latencies = {key: rates.quantiles(buckets(subject), share) for key, share in QUANTILES.items()}
    yield Chart("time of a call, seconds", [Line(key, points) for key, points in latencies.items()], from_zero=True)
    if errors:
        yield Chart("share of calls that failed", [Line("errors", rates.shares(errors, counts))], from_zero=True)
    in_flight = _points(subject, metric(Phase.PREDICT, "in_flight").prometheus_name)
    yield Chart("calls in flight", [Line("calls", in_flight)], from_zero=True)
    yield Chart("samples a call", [Line("mean", _mean(subject, Phase.PREDICT, "batch_size"))], from_zero=True)
    samples = rates.rates([*named(subject, ""), *named(subject, "call")])
    yield Chart("samples a second", [Line("samples", samples)], from_zero=True)


def _of_drift(subject: Subject) -> Iterator[Chart]:
    for detector in detectors(subject):
        labels = {"detector": detector} if detector else {}
        of = f" of {words.plain(detector)}" if detector else ""
        lines = [
            Line(key, _points(subject, metric(Phase.PREDICT, suffix).prometheus_name, **labels))
            for key, suffix in (("statistic", "drift_test_statistic"), ("threshold", "drift_threshold"))
        ]
        yield Chart(f"test statistic{of}", [line for line in lines if line.points], from_zero=True)
        detected = _points(subject, metric(Phase.PREDICT, "drift_detected").prometheus_name, **labels)
        yield Chart(f"drifts detected{of}, since the watch began", [Line("detected", detected)], from_zero=True)
        for title, suffix in (("p-value", "drift_p_value"), ("window filled", "drift_window_fill")):
            points = _points(subject, metric(Phase.PREDICT, suffix).prometheus_name, **labels)
            yield Chart(f"{title}{of}", [Line(title, points)])


_OF_VIEW: dict[View, Callable[[Subject], Iterator[Chart]]] = {View.INFERENCE: _of_inference, View.DRIFT: _of_drift}


def _gauge(subject: Subject, phase: Phase, title: str, suffix: str) -> Chart:
    return Chart(title, [Line(title, _points(subject, metric(phase, suffix).prometheus_name))])


def _points(subject: Subject, name: str, **labels: str) -> list[Point]:
    track = subject.track(name, **labels)
    return track.points if track is not None else []


def _mean(subject: Subject, phase: Phase, suffix: str) -> list[Point]:
    name = metric(phase, suffix).prometheus_name
    total, count = subject.track(f"{name}_sum"), subject.track(f"{name}_count")
    return rates.shares([total], [count]) if total is not None and count is not None else []

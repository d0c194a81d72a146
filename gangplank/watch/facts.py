"""What there is to say of a model in a word or a number, view by view."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gangplank import words
from gangplank.catalogue import metric
from gangplank.metrics import Phase
from gangplank.watch import rates
from gangplank.watch.history import Subject
from gangplank.watch.reading import LATENCY
from gangplank.watch.run_state import Tone, run_state, tone_of
from gangplank.watch.track import Track
from gangplank.watch.views import PHASES, View, own_metrics

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing to say.

    Attributes:
        key: What it is called, in a form that a program reads: with ``_seconds`` where that is its unit.
        value: The number or the word.
        detail: More on it, for people.
        tone: How it is to be looked at.
    """

    key: str
    value: float | str
    detail: str = ""
    tone: Tone = Tone.PLAIN

    @property
    def label(self) -> str:
        """What people call it."""
        return self.key.removesuffix("_seconds").removesuffix("_share").replace("_", " ")

    @property
    def text(self) -> str:
        """The value as people read it."""
        if isinstance(self.value, str):
            shown = self.value
        elif self.key.endswith("_seconds"):
            shown = words.duration(self.value)
        elif self.key.endswith("_share"):
            shown = words.percent(self.value)
        else:
            shown = words.number(self.value)
        return f"{shown} ({self.detail})" if self.detail else shown


def facts(subject: Subject, view: View, now: float, process: Subject | None = None) -> list[Fact]:
    """Return what there is to say in a view.

    Args:
        subject: The model.
        view: What of it.
        now: Unix time of the last reading.
        process: What the process that it is of says of itself, if it does.
    """
    phase = PHASES.get(view)
    found = list(_of_run(subject, phase, now) if phase is not None else _OF_VIEW[view](subject))
    return [*found, *(_of_export(process) if process is not None else ())]


def _of_run(subject: Subject, phase: Phase, now: float) -> Iterator[Fact]:
    state = run_state(subject, phase, now)
    if state is not None:
        yield Fact("state", state.word, state.detail, tone_of(state))
    if phase is Phase.TRAIN:
        yield from _values(subject, phase, epochs="epochs_count", epochs_planned="epochs_planned")
        yield from _left(subject)
    yield from _values(subject, phase, elapsed_seconds="elapsed_time")
    yield from _own(subject, phase)
    if phase is Phase.TRAIN:
        yield from _values(subject, phase, learning_rate="learning_rate", steps="steps")
        yield from _step(subject)
        yield from _values(subject, phase, epoch_seconds="epoch_duration", gradients_norm="model_gradients_norm")
        yield from _values(subject, phase, update_ratio="model_weights_update_ratio")
    yield from _values(subject, phase, weights_norm="model_weights_norm", parameters="model_parameters_count")


def _values(subject: Subject, phase: Phase, **suffixes: str) -> Iterator[Fact]:
    for key, suffix in suffixes.items():
        value = subject.value(metric(phase, suffix).prometheus_name)
        if value is not None:
            yield Fact(key, value, tone=Tone.PLAIN if math.isfinite(value) else Tone.BAD)


def _left(subject: Subject) -> Iterator[Fact]:
    """Say how long a run that is on has to go, if its epochs take as long as the last one."""
    suffixes = ("running", "epochs_count", "epochs_planned", "epoch_duration")
    running, done, planned, seconds = (
        subject.value(metric(Phase.TRAIN, suffix).prometheus_name) for suffix in suffixes
    )
    if running == 1 and done is not None and planned is not None and seconds is not None:
        yield Fact("left_seconds", max(planned - done, 0.0) * seconds)


def _own(subject: Subject, phase: Phase) -> Iterator[Fact]:
    for name in own_metrics(subject, phase):
        value = subject.value(f"gangplank_{phase.value}_{name}")
        bad = subject.value(metric(phase, "nonfinite").prometheus_name, metric=name) or 0.0
        if value is not None:
            yield Fact(name, value, tone=Tone.PLAIN if math.isfinite(value) else Tone.BAD)
        elif bad:
            yield Fact(name, "not finite", f"{words.number(bad)} NaN or infinite", Tone.BAD)


def _step(subject: Subject) -> Iterator[Fact]:
    name = metric(Phase.TRAIN, "step_duration").prometheus_name
    total, count = subject.track(f"{name}_sum"), subject.track(f"{name}_count")
    if total is None or count is None:
        return
    recent = last_finite(rates.shares([total], [count]))
    if recent is None and count.latest:
        recent = total.latest / count.latest
    if recent is not None:
        yield Fact("step_seconds", recent)


def _of_inference(subject: Subject) -> Iterator[Fact]:
    counts, errors = calls(subject), named(subject, "errors")
    yield Fact("calls", sum(track.latest for track in counts))
    failed = sum(track.latest for track in errors)
    yield Fact("errors", failed, tone=Tone.BAD if failed else Tone.PLAIN)
    yield from _last("calls_per_second", rates.rates(counts))
    yield from _last("failed_share", rates.shares(errors, counts), Tone.BAD)
    yield from _last("samples_per_second", rates.rates([*named(subject, ""), *named(subject, "call")]))
    for key, share in QUANTILES.items():
        recent = last(rates.quantiles(buckets(subject), share))
        if recent is None or math.isnan(recent):
            recent = rates.quantile(((bound, track.latest) for bound, track in buckets(subject)), share)
        if not math.isnan(recent):
            yield Fact(f"{key}_seconds", recent)
    yield from _values(subject, Phase.PREDICT, in_flight="in_flight")
    sizes = metric(Phase.PREDICT, "batch_size").prometheus_name
    total, count = subject.value(f"{sizes}_sum"), subject.value(f"{sizes}_count")
    if total is not None and count:
        yield Fact("batch_size", total / count)


def _of_drift(subject: Subject) -> Iterator[Fact]:
    for detector in detectors(subject):
        labels = {"detector": detector} if detector else {}
        prefix = f"{words.plain(detector)} " if detector else ""
        detected = subject.value(metric(Phase.PREDICT, "drift_detected").prometheus_name, **labels)
        if detected is not None:
            yield Fact(f"{prefix}detected", detected, tone=Tone.BAD if detected else Tone.GOOD)
        for key, suffix in _DRIFT.items():
            value = subject.value(metric(Phase.PREDICT, suffix).prometheus_name, **labels)
            if value is not None:
                yield Fact(f"{prefix}{key}", value)
        for of, track in subject.named(metric(Phase.PREDICT, "drift_samples").prometheus_name):
            if of.get("detector", "") == detector and (track.latest or of.get("result") == "tested"):
                tone = Tone.PLAIN if of.get("result") == "tested" else Tone.POOR
                yield Fact(f"{prefix}{words.plain(of.get('result', 'samples'))}", track.latest, tone=tone)


_OF_VIEW: dict[View, Callable[[Subject], Iterator[Fact]]] = {View.INFERENCE: _of_inference, View.DRIFT: _of_drift}
_DRIFT = {
    "statistic": "drift_test_statistic",
    "threshold": "drift_threshold",
    "p_value": "drift_p_value",
    "window_fill_share": "drift_window_fill",
    "observations": "drift_observations",
}


def _of_export(process: Subject) -> Iterator[Fact]:
    failed = process.value(metric(Phase.EXPORT, "pushes").prometheus_name, result="failure")
    if failed:
        yield Fact("failed_pushes", failed, tone=Tone.POOR)
    errors = [track.latest for _, track in process.named(metric(Phase.EXPORT, "errors").prometheus_name)]
    if sum(errors):
        yield Fact("telemetry_errors", sum(errors), tone=Tone.POOR)


def _last(key: str, points: list[tuple[float, float]], tone: Tone = Tone.PLAIN) -> Iterator[Fact]:
    value = last(points)
    if value is not None and math.isfinite(value):
        yield Fact(key, value, tone=tone if value else Tone.PLAIN)


def last(points: list[tuple[float, float]]) -> float | None:
    """Return the newest value; None if there is none."""
    return points[-1][1] if points else None


def last_finite(points: list[tuple[float, float]]) -> float | None:
    """Return the newest value that is a number; None if there is none."""
    return next((value for _, value in reversed(points) if math.isfinite(value)), None)


def named(subject: Subject, suffix: str) -> list[Track]:
    """Return all series of a metric of inference."""
    return [track for _, track in subject.named(metric(Phase.PREDICT, suffix).prometheus_name)]


def calls(subject: Subject) -> list[Track]:
    """Return what counts calls, those that failed included."""
    return [track for _, track in subject.named(f"{LATENCY}_count")]


def buckets(subject: Subject, name: str = LATENCY) -> list[tuple[float, Track]]:
    """Return the buckets of a histogram: that of the time that calls took, if no other is named."""
    return [(bound, track) for of, track in subject.named(f"{name}_bucket") if (bound := _bound(of)) is not None]


def _bound(labels: dict[str, str]) -> float | None:
    try:
        return float(labels["le"])
    except (KeyError, ValueError):
        return None


def detectors(subject: Subject) -> list[str]:
    """Return the names of the detectors of drift; empty is that of a drift function."""
    prefix = "gangplank_predict_drift_"
    found = {dict(labels).get("detector", "") for name, labels in subject.tracks if name.startswith(prefix)}
    return sorted(found)

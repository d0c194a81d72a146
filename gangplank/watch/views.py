"""The views of a model: which there are, and which of its series belong to each."""

from __future__ import annotations

from enum import Enum

from gangplank.catalogue import CATALOGUE
from gangplank.metrics import Kind, Phase
from gangplank.watch.history import Subject


class View(Enum):
    """A part of a model's life that is looked at by itself."""

    TRAINING = "training"
    EVALUATION = "evaluation"
    INFERENCE = "inference"
    DRIFT = "drift"


PHASES = {View.TRAINING: Phase.TRAIN, View.EVALUATION: Phase.TEST}

_DRIFT = "gangplank_predict_drift_"
_PREFIXES = {View.TRAINING: "gangplank_train_", View.EVALUATION: "gangplank_test_"}
_LASTING = frozenset(row.prometheus_name for row in CATALOGUE if row.durable)
_ROWS = frozenset(row.prometheus_name for row in CATALOGUE) | {
    f"{row.prometheus_name}{part}"
    for row in CATALOGUE
    if row.kind in (Kind.HISTOGRAM, Kind.SNAPSHOT)
    for part in ("_bucket", "_sum", "_count")
}


def views(subject: Subject) -> list[View]:
    """Return the views that there is something to be seen in."""
    names = {name for name in subject.names() if name not in _LASTING}
    found = {view for view, prefix in _PREFIXES.items() if any(name.startswith(prefix) for name in names)}
    if any(name.startswith("gangplank_predict") and not name.startswith(_DRIFT) for name in names):
        found.add(View.INFERENCE)
    if any(name.startswith(_DRIFT) for name in names):
        found.add(View.DRIFT)
    return [view for view in View if view in found] or [View.TRAINING]


def own_metrics(subject: Subject, phase: Phase) -> list[str]:
    """Return what the model's own metrics are called behind the phase, the loss first, each before its validation."""
    prefix = f"gangplank_{phase.value}_"
    counted = {of.get("metric", "") for of, track in subject.named(f"{prefix}nonfinite_total") if track.latest > 0}
    found = {name.removeprefix(prefix) for name in subject.names() if name.startswith(prefix) and name not in _ROWS}
    found |= counted - {"", "model_weights"}
    return sorted(found, key=lambda name: (_plain(name) != "loss", _plain(name), name.startswith("val_")))


def _plain(name: str) -> str:
    return name.removeprefix("val_")

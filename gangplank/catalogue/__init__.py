"""Every metric that Gangplank emits, in tables.

Instruments, exposition, reserved names, the metrics page of the documentation and its tests are made from
:data:`CATALOGUE`.
"""

from __future__ import annotations

from gangplank.catalogue.export import EXPORT
from gangplank.catalogue.inference import BATCH_SIZE_BOUNDS, CALL_DURATION_BOUNDS, INFERENCE
from gangplank.catalogue.runs import EVALUATION, STEP_DURATION_BOUNDS, TRAINING
from gangplank.metrics import Kind, Metric, Phase

__all__ = [
    "BATCH_SIZE_BOUNDS",
    "CALL_DURATION_BOUNDS",
    "CATALOGUE",
    "EVALUATION",
    "EXPORT",
    "INFERENCE",
    "STEP_DURATION_BOUNDS",
    "TRAINING",
    "find",
    "metric",
    "model_metric",
    "reserved_suffixes",
]

CATALOGUE: tuple[Metric, ...] = TRAINING + EVALUATION + INFERENCE + EXPORT

_BY_NAME = {(metric.phase, metric.suffix): metric for metric in CATALOGUE}


def metric(phase: Phase, suffix: str) -> Metric:
    """Return the catalogue's row of that phase and suffix.

    Raises:
        KeyError: the catalogue has no such row.
    """
    return _BY_NAME[phase, suffix]


def find(phase: Phase, suffix: str) -> Metric | None:
    """Return the catalogue's row of that phase and suffix, or None."""
    return _BY_NAME.get((phase, suffix))


def model_metric(phase: Phase, suffix: str) -> Metric:
    """Return a row for one of the model's own metrics (loss, accuracy, ...).

    Args:
        phase: Training or evaluation.
        suffix: The legal, unreserved name that :class:`gangplank.naming.Names` gave it.
    """
    return Metric(phase, suffix, Kind.GAUGE, f"The model's metric {suffix}, as last reported.", predecessor=True)


def reserved_suffixes(phase: Phase) -> frozenset[str]:
    """Return what a model's own metric may not be called in ``phase``, lower-case.

    These are the names of the catalogue behind ``gangplank_<phase>_``, as OpenTelemetry and as Prometheus have
    them, and the series into which histograms are taken apart.
    """
    prefix = f"gangplank_{phase.value}_"
    names: set[str] = set()
    for row in CATALOGUE:
        if row.phase is not phase:
            continue
        names |= {row.name, row.prometheus_name}
        if row.kind in (Kind.HISTOGRAM, Kind.SNAPSHOT):
            names |= {
                f"{base}_{part}" for base in (row.name, row.prometheus_name) for part in ("bucket", "count", "sum")
            }
    return frozenset(name.removeprefix(prefix) for name in names)

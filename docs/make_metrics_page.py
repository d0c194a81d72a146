"""Writes docs/reference/metrics.md from the catalogue: python docs/make_metrics_page.py [--check]."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from gangplank.catalogue import EVALUATION, EXPORT, INFERENCE, TRAINING
from gangplank.metrics import Kind, Metric
from gangplank.naming import RESERVED_SUFFIX

PAGE = Path(__file__).parent / "reference" / "metrics.md"

_HEAD = f"""# Metrics

Names are as they stand in Prometheus. A ★ marks those of gangplank 0.5.0: name, type and meaning are frozen.
An OpenTelemetry exporter sees the instrument name, to which Prometheus adds the unit (`_seconds`) and, for a counter,
`_total`.

Of [distributed training](../guides/distributed.md), series of training and evaluation have the label `rank` too.

## The model's own metrics

Every number in Keras's epoch logs becomes a gauge ★: `gangplank_train_<metric>` in training (`loss`, `accuracy`,
`val_loss`, ...), `gangplank_test_<metric>` in evaluation, labelled with `model`.

- Characters that are not allowed in a metric's name become `_`. Two metrics that would then have one name (`a/b` and
  `a_b`) are told apart by a number: `a_b` keeps its name, `a/b` becomes `a_b_2`. A warning in the log says so.
- A metric with the name of one below gets the suffix `{RESERVED_SUFFIX}`, and a warning: a metric called `running` is
  exported as `gangplank_train_running{RESERVED_SUFFIX}`. `learning_rate` is the exception: in training logs it is the
  very fact that `gangplank_train_learning_rate` states, and goes there.
- Nested logs are flattened. What is not one number is left out.
- A value that is NaN or infinite takes its series away, at every exit, and is counted in `..._nonfinite_total`.
"""

_ABOUT_INFERENCE = """From a measured model. A *prediction* is `predict` or `predict_on_batch`; a *call* is `model(x)`
and its kin. What a compiler traces serves nobody, and is not counted. Drift is what a drift function found, if the
model was given one; of detectors of drift, series have the label `detector`, too."""

_SECTIONS = (
    ("Training", TRAINING, "From `fit`, validation included."),
    ("Evaluation", EVALUATION, "From `evaluate`, when it is given the callback; validation inside `fit` is none."),
    ("Inference", INFERENCE, _ABOUT_INFERENCE),
    ("Export", EXPORT, "How exporting itself is doing, for the whole process."),
)


def page() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *(line for section in _SECTIONS for line in _section(*section))])


def _section(title: str, rows: Iterable[Metric], about: str) -> Iterable[str]:
    yield f"## {title}\n\n{about}\n"
    yield "| metric | type | labels | meaning |\n|---|---|---|---|"
    for row in sorted(rows, key=lambda row: (not row.predecessor, row.prometheus_name)):
        star = " ★" if row.predecessor else ""
        labels = ", ".join(f"`{key}`" for key in row.attributes) or "none"
        shape = " (a snapshot: it is replaced)" if row.kind is Kind.SNAPSHOT else ""
        yield f"| `{row.prometheus_name}`{star} | {row.prometheus_type}{shape} | {labels} | {row.description} |"
    yield ""


if __name__ == "__main__":
    if "--check" not in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page():
        sys.exit(f"{PAGE} is not what the catalogue says: run python docs/make_metrics_page.py")

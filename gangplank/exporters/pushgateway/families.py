"""Prometheus families as a Pushgateway takes them: it refuses a whole push for two that do not go together."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as PrometheusMetric
from prometheus_client.samples import Sample

from gangplank.errors import ExportError
from gangplank.trouble import Trouble

_PARTS = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("", "_count", "_sum"), "counter": ("_total",)}
_ADDED = ("counter", "histogram")


def united(metrics: Iterable[PrometheusMetric], trouble: Trouble) -> list[PrometheusMetric]:
    """Return metrics of which no two have a series in common.

    Metrics of one name and type become one; of samples with the same labels, counts are added and of others the later
    stands. A metric that has another's name is left out, and reported.

    Args:
        metrics: Metrics.
        trouble: Takes what was left out.
    """
    kept: dict[str, PrometheusMetric] = {}
    samples: dict[str, dict[tuple[str, frozenset[tuple[str, str]]], Sample]] = {}
    owner: dict[str, str] = {}
    for metric in metrics:
        key = f"{metric.name} {metric.type}"
        names = {f"{metric.name}{part}" for part in _PARTS.get(metric.type, ("",))} | {metric.name}
        other = next((owner[name] for name in sorted(names) if owner.get(name, key) != key), None)
        if other is not None:
            error = ExportError(
                f"{metric.name} ({metric.type}) has a series in common with {other}: one of them must go"
            )
            trouble.report(f"push the metric {metric.name}", error)
            continue
        owner.update(dict.fromkeys(names, key))
        kept.setdefault(key, metric)
        _add(metric, samples.setdefault(key, {}))
    return [_copy(metric, samples[key].values()) for key, metric in kept.items()]


def _add(metric: PrometheusMetric, samples: dict[tuple[str, frozenset[tuple[str, str]]], Sample]) -> None:
    for sample in metric.samples:
        labels = {name: value for name, value in sample.labels.items() if value}  # an empty label is none
        key = sample.name, frozenset(labels.items())
        value = sample.value
        if key in samples and metric.type in _ADDED:
            value += samples[key].value
        samples[key] = Sample(sample.name, labels, value)


def relabelled(metric: PrometheusMetric, taken: Iterable[str]) -> PrometheusMetric:
    """Return ``metric`` without labels of these names, which a group's would replace: they become ``exported_...``.

    That is what Prometheus calls them where a target's labels clash with its own.
    """
    names = {name: f"exported_{name}" for name in taken}
    return _copy(
        metric,
        (
            Sample(sample.name, {names.get(name, name): value for name, value in sample.labels.items()}, sample.value)
            for sample in metric.samples
        ),
    )


def _copy(metric: PrometheusMetric, samples: Iterable[Sample]) -> PrometheusMetric:
    copy = PrometheusMetric(metric.name, metric.documentation, metric.type)
    copy.samples = list(samples)
    return copy

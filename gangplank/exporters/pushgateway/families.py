"""Prometheus families as a Pushgateway takes them: it refuses a whole push for two that do not go together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from prometheus_client.core import Metric as PrometheusMetric
from prometheus_client.samples import Sample

from gangplank.errors import ExportError
from gangplank.naming import encodable
from gangplank.trouble import Trouble

_PARTS = {
    "counter": ("_total",),
    "info": ("_info",),
    "histogram": ("", "_bucket", "_count", "_sum"),
    "summary": ("", "_count", "_sum"),
}
"""What is in the text of a family of some type, behind its name."""
_ADDED = ("counter", "histogram")

_Key = tuple[str, frozenset[tuple[str, str]]]


def united(metrics: Iterable[PrometheusMetric], trouble: Trouble) -> list[PrometheusMetric]:
    """Return metrics of which no two have a series in common.

    Metrics of one name and type become one; of samples with the same labels, counts are added and of others the later
    stands. A metric that has another's name is left out, and reported.

    Args:
        metrics: Metrics.
        trouble: Takes what was left out.
    """
    kept: dict[str, PrometheusMetric] = {}
    samples: dict[str, dict[_Key, Sample]] = {}
    owner: dict[str, str] = {}
    for metric in metrics:
        family = f"{metric.name} ({metric.type})"
        names = [f"{metric.name}{part}" for part in _PARTS.get(metric.type, ("",))]
        other = next((owner[name] for name in names if owner.get(name, family) != family), None)
        if other is not None:
            error = ExportError(f"{family} has a series in common with {other}: one of them must go")
            trouble.report(f"push the metric {metric.name}", error)
            continue
        owner.update(dict.fromkeys(names, family))
        kept.setdefault(family, metric)
        _add(metric, samples.setdefault(family, {}))
    return [_copy(metric, samples[family].values()) for family, metric in kept.items()]


def _add(metric: PrometheusMetric, samples: dict[_Key, Sample]) -> None:
    for sample in metric.samples:
        labels = {name: encodable(value) for name, value in sample.labels.items() if value}  # an empty label is none
        key = sample.name, frozenset(labels.items())
        value = sample.value
        if key in samples and metric.type in _ADDED:
            value += samples[key].value
        samples[key] = Sample(sample.name, labels, value)


def relabelled(metric: PrometheusMetric, taken: Collection[str]) -> PrometheusMetric:
    """Return ``metric`` without labels of these names, which a group's would replace: they become ``exported_...``.

    That is what Prometheus calls them where a target's labels clash with its own.
    """
    return _copy(metric, (Sample(one.name, _renamed(one.labels, taken), one.value) for one in metric.samples))


def _renamed(labels: Mapping[str, str], taken: Collection[str]) -> dict[str, str]:
    renamed = {name: value for name, value in labels.items() if name not in taken}
    for name in taken:
        if name in labels:
            free = f"exported_{name}"
            while free in renamed:
                free = f"exported_{free}"
            renamed[free] = labels[name]
    return renamed


def _copy(metric: PrometheusMetric, samples: Iterable[Sample]) -> PrometheusMetric:
    copy = PrometheusMetric(metric.name, encodable(metric.documentation), metric.type)
    copy.samples = list(samples)
    return copy

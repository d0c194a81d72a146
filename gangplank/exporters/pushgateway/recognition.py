"""Gangplank's own metrics among those that a MeterProvider has: they go to the groups that they have without one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric as PrometheusMetric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from gangplank.catalogue import CATALOGUE
from gangplank.errors import ExportError
from gangplank.exporters.pushgateway.groups import Member, by_rank
from gangplank.exporters.snapshots import PARTS
from gangplank.metrics import Kind, Phase
from gangplank.trouble import Trouble

_DURABLE = frozenset(row.prometheus_name for row in CATALOGUE if row.durable)
_SNAPSHOTS = {f"{row.name}_{part}": (row, part) for row in CATALOGUE if row.kind is Kind.SNAPSHOT for part in PARTS}


def members(metrics: Iterable[PrometheusMetric], trouble: Trouble) -> Iterator[Member]:
    """Yield metrics as members of groups; distributions of weights, which pass through a provider as gauges, whole.

    Args:
        metrics: Metrics.
        trouble: Takes distributions of which a View has left too little.
    """
    parts: dict[str, dict[str, PrometheusMetric]] = defaultdict(dict)
    for metric in metrics:
        if metric.name in _SNAPSHOTS:
            row, part = _SNAPSHOTS[metric.name]
            parts[row.name][part] = metric
        else:
            yield from _members(metric)
    for name, of_name in parts.items():
        if "bucket" in of_name and all("le" in sample.labels for sample in of_name["bucket"].samples):
            yield from _members(_histogram(name, of_name))
        else:
            trouble.report(f"push the metric {name}", ExportError("a View has taken the label le from its buckets"))


def _members(metric: PrometheusMetric) -> Iterator[Member]:
    prefix, _, rest = metric.name.partition("_")
    phase = next((phase for phase in Phase if prefix == "gangplank" and rest.startswith(phase.value)), None)
    return by_rank(phase, metric, durable=metric.name in _DURABLE)


def _histogram(name: str, parts: dict[str, PrometheusMetric]) -> PrometheusMetric:
    row = next(row for row in CATALOGUE if row.name == name)
    histogram = PrometheusMetric(name, row.description, "histogram")
    for part, metric in parts.items():
        samples = [_part_of_histogram(sample) for sample in metric.samples]
        if part == "bucket":
            samples.sort(key=lambda sample: float(sample.labels["le"]))
        histogram.samples.extend(samples)
    return histogram


def _part_of_histogram(sample: Sample) -> Sample:
    labels = dict(sample.labels)
    if "le" in labels:
        labels["le"] = floatToGoString(float(labels["le"]))
    return Sample(sample.name, labels, sample.value)

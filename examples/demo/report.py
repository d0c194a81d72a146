"""A scrape as tables that a person can read: one for each part of a model's life."""

from __future__ import annotations

import time
from collections.abc import Iterator

import requests
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

PARTS = {"Training": "gangplank_train_", "Evaluation": "gangplank_test_", "Export": "gangplank_export_"}
TIMEOUT = 10


def show(console: Console, url: str) -> None:
    """Read the metrics at ``url`` and print them."""
    families = _scrape(url)
    for title, prefix in PARTS.items():
        members = [family for family in families if family.name.startswith(prefix)]
        if members:
            console.print(_table(title, members))


def _scrape(url: str) -> list[Metric]:
    with requests.Session() as session:
        session.trust_env = False  # the server is this process; no proxy knows it
        reply = session.get(url, timeout=TIMEOUT)
    reply.raise_for_status()
    return list(text_string_to_metric_families(reply.text))


def _table(title: str, families: list[Metric]) -> Table:
    table = Table(title=f"\n{title}", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("metric", no_wrap=True, style="cyan")
    table.add_column("value", justify="right")
    table.add_column("what it is")
    for family in sorted(families, key=lambda family: not family.documentation.startswith("The model's metric")):
        name = family.name + "_total" if family.type == "counter" else family.name
        for labels, value in _values(family):
            table.add_row(Text(name + labels), Text(value), Text(family.documentation))
    return table


def _values(family: Metric) -> Iterator[tuple[str, str]]:
    """Yield, for each row that the family deserves, its labels as Prometheus writes them, and its value in words."""
    if family.type == "histogram":
        yield "", _distribution(family)
    elif family.name.endswith("_outcome"):
        yield "", next((one.labels["outcome"] for one in family.samples if one.value), "running")
    elif family.name.endswith("_info"):
        yield "", "\n".join(f"{key} {value}" for key, value in _labels(family.samples[0]).items())
    else:
        for sample in family.samples:
            labels = ", ".join(f'{key}="{value}"' for key, value in _labels(sample).items())
            yield f"{{{labels}}}" if labels else "", _number(family.name, sample.value)


def _labels(sample: Sample) -> dict[str, str]:
    return {key: value for key, value in sample.labels.items() if key != "model"}


def _distribution(family: Metric) -> str:
    found = {sample.name.removeprefix(family.name): sample.value for sample in family.samples}
    count, total = found["_count"], found["_sum"]
    return f"{count:,.0f} values, mean {_number(family.name, total / count)}" if count else "no values"


def _number(name: str, value: float) -> str:
    if name.endswith("_timestamp_seconds"):
        return time.strftime("%H:%M:%S", time.localtime(value))
    unit = " s" if "_seconds" in name else ""
    shown = f"{value:,.0f}" if value == int(value) else f"{value:.4g}"
    return shown + unit

"""Families that go together in one body: each name and each series once, no label of the group, and their text."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.core import Metric as PrometheusMetric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from gangplank.exporters.pushgateway.families import relabelled, united
from gangplank.exporters.pushgateway.groups import text
from gangplank.trouble import Trouble


class Heard:
    """A trouble that keeps what is reported."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        quiet = logging.getLogger("gangplank.test.quiet")
        quiet.setLevel(logging.CRITICAL)
        self.trouble = Trouble(quiet, self.errors.append)


def family(name: str, kind: str, *samples: tuple[str, dict[str, str], float], help_text: str = "") -> PrometheusMetric:
    """Return a metric of samples, each with what follows its name."""
    made = PrometheusMetric(name, help_text, kind)
    made.samples = [Sample(f"{name}{suffix}", labels, value) for suffix, labels, value in samples]
    return made


def shown(metrics: list[PrometheusMetric]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return the value of each sample; a sample that is there twice is a failure."""
    found = [((one.name, tuple(sorted(one.labels.items()))), one.value) for metric in metrics for one in metric.samples]
    assert len(found) == len(dict(found)), found
    return dict(found)


def test_families_of_one_name_and_type_are_one() -> None:
    """Counts are added, and of gauges the later stands; the first description does for all."""
    heard = Heard()
    metrics = united(
        [
            family("a", "counter", ("_total", {"x": "1"}, 2), help_text="first"),
            family("b", "gauge", ("", {}, 1)),
            family("a", "counter", ("_total", {"x": "1"}, 3), ("_total", {"x": "2"}, 1), help_text="second"),
            family("b", "gauge", ("", {}, 7)),
        ],
        heard.trouble,
    )
    assert shown(metrics) == {("a_total", (("x", "1"),)): 5, ("a_total", (("x", "2"),)): 1, ("b", ()): 7}
    assert [one.documentation for one in metrics] == ["first", ""]
    assert heard.errors == []


def test_histograms_are_added_part_by_part() -> None:
    """Bucket by bucket, with count and sum."""
    one = family("h", "histogram", *(("_bucket", {"le": le}, 1) for le in ("1.0", "+Inf")), ("_count", {}, 1))
    two = family("h", "histogram", *(("_bucket", {"le": le}, 2) for le in ("1.0", "+Inf")), ("_count", {}, 2))
    found = shown(united([one, two], Heard().trouble))
    assert found == {
        ("h_bucket", (("le", "1.0"),)): 3,
        ("h_bucket", (("le", "+Inf"),)): 3,
        ("h_count", ()): 3,
    }


def test_an_empty_label_is_none() -> None:
    """To Prometheus both are one series, which a gateway would refuse to have twice."""
    metrics = [family("a", "gauge", ("", {"x": "", "y": "1"}, 1), ("", {"y": "1"}, 2))]
    assert shown(united(metrics, Heard().trouble)) == {("a", (("y", "1"),)): 2}


CLASHES: list[tuple[PrometheusMetric, PrometheusMetric]] = [
    (family("a", "gauge", ("", {}, 1)), family("a", "histogram", ("_count", {}, 1))),
    (family("a", "histogram", ("_count", {}, 1)), family("a_count", "gauge", ("", {}, 1))),
    (family("a_bucket", "gauge", ("", {}, 1)), family("a", "histogram", ("_count", {}, 1))),
    (family("a_total", "gauge", ("", {}, 1)), family("a", "counter", ("_total", {}, 1))),
    (family("a", "summary", ("_sum", {}, 1)), family("a_sum", "gauge", ("", {}, 1))),
    (family("target", "info", ("_info", {}, 1)), family("target_info", "gauge", ("", {}, 2))),
]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("clash", CLASHES)
def test_two_metrics_of_one_name_are_not_both_pushed(
    clash: tuple[PrometheusMetric, PrometheusMetric], *, reverse: bool
) -> None:
    """Of two types it is the first, and the other is reported: a gateway would refuse the whole body."""
    heard = Heard()
    first, second = reversed(clash) if reverse else clash
    kept = united([first, family("other", "gauge", ("", {}, 3)), second], heard.trouble)
    assert [one.name for one in kept] == [first.name, "other"]
    [error] = heard.errors
    assert second.name in str(error)
    assert first.name in str(error)


def test_a_gauge_and_a_counter_that_only_look_alike_are_both_pushed() -> None:
    """``a`` and ``a_total`` are two names to Prometheus, in whose text a counter is called as its sample."""
    heard = Heard()
    kept = united([family("a", "gauge", ("", {}, 1)), family("a", "counter", ("_total", {}, 2))], heard.trouble)
    assert shown(kept) == {("a", ()): 1, ("a_total", ()): 2}
    assert heard.errors == []


NAMES = st.sampled_from(["a", "a_total", "a_count", "a_sum", "a_bucket", "a_info", "b"])
KINDS = {"gauge": ("",), "counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "info": ("_info",)}


@st.composite
def families(draw: st.DrawFn) -> PrometheusMetric:
    """Return a metric with some samples."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    labels = st.fixed_dictionaries({}, optional={name: st.sampled_from(["", "1", "2"]) for name in "xy"})
    samples = [
        (part, {**chosen, **({"le": "+Inf"} if part == "_bucket" else {})}, float(draw(st.integers(0, 3))))
        for chosen in draw(st.lists(labels, max_size=3))
        for part in KINDS[kind]
    ]
    return family(draw(NAMES), kind, *samples)


@settings(max_examples=200)
@given(st.lists(families(), max_size=6))
def test_united_metrics_have_each_name_and_each_series_once(metrics: list[PrometheusMetric]) -> None:
    """Whatever there is: nothing in the text is there twice, and what was given is as it was."""
    before = [[*one.samples] for one in metrics]
    kept = united(metrics, Heard().trouble)
    assert [one.samples for one in metrics] == before
    shown(kept)
    lines = text(kept).decode().splitlines()
    declared = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(declared) == len(set(declared))
    parts = [f"{one.name}{part}" for one in kept if one.samples for part in KINDS[one.type]]
    assert len(parts) == len(set(parts))
    assert all(value for one in kept for sample in one.samples for value in sample.labels.values())


@pytest.mark.parametrize(
    ("labels", "becomes"),
    [
        ({"job": "a", "instance": "b"}, {"exported_job": "a", "exported_instance": "b"}),
        ({"jobs": "a", "le": "1.0"}, {"jobs": "a", "le": "1.0"}),
        ({}, {}),
    ],
)
def test_labels_of_a_group_are_renamed(labels: dict[str, str], becomes: dict[str, str]) -> None:
    """As Prometheus would rename them, in a copy."""
    given_one = family("a", "gauge", ("", labels, 1), help_text="about")
    renamed = relabelled(given_one, ("job", "instance"))
    assert [sample.labels for sample in renamed.samples] == [becomes]
    assert (renamed.name, renamed.type, renamed.documentation) == ("a", "gauge", "about")
    assert [sample.labels for sample in given_one.samples] == [labels]


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(["job", "exported_job"], st.sampled_from("ab")))))
def test_renaming_makes_no_two_series_one(series: list[dict[str, str]]) -> None:
    """Also where a metric has both ``job`` and ``exported_job``."""
    distinct = [dict(one) for one in {tuple(sorted(labels.items())) for labels in series}]
    renamed = relabelled(family("a", "counter", *(("_total", labels, 1.0) for labels in distinct)), ("job",))
    assert not any("job" in sample.labels for sample in renamed.samples)
    assert all(len(sample.labels) == len(had) for sample, had in zip(renamed.samples, distinct, strict=True))


def test_text_leaves_out_what_has_no_sample() -> None:
    """And escapes what has to be."""
    body = text([family("a", "gauge"), family("b", "gauge", ("", {"x": 'a"\\\n'}, math.inf), help_text="one\ntwo")])
    assert body.decode() == '# HELP b one\\ntwo\n# TYPE b gauge\nb{x="a\\"\\\\\\n"} +Inf\n'
    sample: Any = next(iter(text_string_to_metric_families(body.decode()))).samples[0]
    assert (sample.labels, sample.value) == ({"x": 'a"\\\n'}, math.inf)

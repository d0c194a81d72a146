"""Paths of groups, how a state is divided among them, and families that go together in one body."""

from __future__ import annotations

import base64
import logging
import math
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client.core import Metric as PrometheusMetric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from pushes import BASE, LOSS, TEST_LOSS, TRAIN, telemetry_to
from realservers import Gateway as RealGateway

from gangplank.catalogue import CATALOGUE, metric
from gangplank.distribution import Distribution
from gangplank.exporters.pushgateway.address import group_url, without_credentials
from gangplank.exporters.pushgateway.exporter import push_settings
from gangplank.exporters.pushgateway.families import relabelled, united
from gangplank.exporters.pushgateway.gateway import Gateway
from gangplank.exporters.pushgateway.groups import Group, members, of_runs, text
from gangplank.metrics import Phase
from gangplank.state import State
from gangplank.testing import FakeGateway
from gangplank.trouble import Trouble

ODD = [
    *("plain", ".", "..", "...", "/", "//", "a/b", "/a", "a/", " ", "a b", "", "=", "%", "%2F", "%zz", "+", "?", "#"),
    *(
        "é",
        "日本",
        "\U0001f600",
        '"',
        "\\",
        "\n",
        "\t",
        "\x00",
        "\u2028",
        "a@base64",
        ";x",
        ":",
        "&",
        "a,b=c",
        "~",
        "-_",
    ),
]
texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)


def parsed(path: str) -> dict[str, str]:
    """Return the labels that a gateway reads in a group's path."""
    parts = path.removeprefix("/metrics/").split("/")
    found = {}
    for name, value in zip(parts[::2], parts[1::2], strict=True):
        if name.endswith("@base64"):
            found[name.removesuffix("@base64")] = base64.urlsafe_b64decode(value.rstrip("=") + "===").decode()
        else:
            found[name] = unquote(value)
    return found


@given(job=texts, values=st.dictionaries(st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]*", fullmatch=True), texts, max_size=3))
@example(job="..", values={"instance": "."})
@example(job="/", values={"instance": "", "a": " "})
def test_a_path_says_what_it_was_made_of(job: str, values: dict[str, str]) -> None:
    """Whatever the characters; ``job`` is first, and the path is one that no client resolves to another."""
    values.pop("job", None)
    url = group_url("http://host:9091/sub", job, values)
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("http", "host:9091", "", "")
    path = parts.path.removeprefix("/sub")
    assert url == f"http://host:9091/sub{path}"
    assert path.startswith(("/metrics/job/", "/metrics/job@base64/"))
    assert path.isascii()
    assert not {"", ".", ".."} & set(path[1:].split("/"))
    assert parsed(path) == {"job": job, **values}


def test_a_group_has_one_path() -> None:
    """However its labels are ordered: else one group would be taken for two."""
    assert group_url("", "j", {"a": "1", "b": "2"}) == group_url("", "j", {"b": "2", "a": "1"})


def test_a_real_gateway_reads_the_paths_so(gateway: RealGateway) -> None:
    """For every odd value, as a job and as another label, through the client and back."""
    for number, odd in enumerate(ODD):
        job = odd if odd.strip() else f"empty{number}"
        to = Gateway(push_settings(gateway.address, job, grouping_key={"odd": odd, "number": str(number)}), job)
        to.send(Group("", "PUT", (), b"# TYPE a gauge\na 1\n"))
        to.close()
        labels = {"number": str(number), "job": job, "odd": odd}
        assert len(gateway.series("a", **{name: value for name, value in labels.items() if value})) == 1, odd
    assert len(gateway.series("a")) == len(ODD)
    for number, odd in enumerate(ODD):
        job = odd if odd.strip() else f"empty{number}"
        to = Gateway(push_settings(gateway.address, job, grouping_key={"odd": odd, "number": str(number)}), job)
        to.delete(())
        to.close()
    assert gateway.series("a") == []


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://host:1/a", "http://host:1/a"),
        ("https://user:pass@host:1/a", "https://host:1/a"),
        ("https://us@er:pa@ss@host", "https://host"),
        ("http://user@[::1]:9091", "http://[::1]:9091"),
    ],
)
def test_an_address_is_shown_without_credentials(url: str, shown: str) -> None:
    """All of them."""
    assert without_credentials(url) == shown


def names(group: Group) -> set[str]:
    """Return the names of a group's samples."""
    return {sample.name for family in text_string_to_metric_families(group.body.decode()) for sample in family.samples}


def full_state() -> State:
    """Return a state of two models that were trained, and of one that was evaluated and predicts."""
    state = State()
    for model, phase in (("a", Phase.TRAIN), ("b", Phase.TRAIN), ("b", Phase.TEST)):
        state.gauge(metric(phase, "elapsed_time"), model=model).set(1)
        state.gauge(metric(phase, "last_success_timestamp"), model=model).set(2)
    state.gauge(LOSS, model="a").set(0.5)
    state.gauge(TEST_LOSS, model="b").set(0.25)
    weights = state.snapshot(metric(Phase.TRAIN, "model_weights"), model="a")
    weights.set(Distribution((-1.0, 0.0), (1, 2, 3), -0.5))
    return state


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_state_is_divided_by_phase_and_what_lasts_by_model(method: str) -> None:
    """Each thing is in one group; what lasts is added to what is there, whatever the method is."""
    groups = list(of_runs(members(full_state().read()), method))
    assert [(group.method, group.labels) for group in groups] == [
        (method, (("phase", "train"),)),
        ("POST", (("model", "a"),)),
        ("POST", (("model", "b"),)),
        (method, (("phase", "test"),)),
        ("POST", (("model", "b"),)),
    ]
    assert names(groups[0]) == {
        "gangplank_train_elapsed_time_seconds",
        "gangplank_train_loss",
        *(f"gangplank_train_model_weights_{part}" for part in ("bucket", "count", "sum")),
    }
    assert names(groups[1]) == {"gangplank_train_last_success_timestamp_seconds"}
    assert names(groups[4]) == {"gangplank_test_last_success_timestamp_seconds"}
    assert b'model="b"' not in groups[1].body


def test_what_lasts_of_a_model_is_sent_once(fake_gateway: FakeGateway) -> None:
    """Also of one that was trained and evaluated here: another process may have done either since."""
    telemetry = telemetry_to(fake_gateway)
    telemetry.state.gauge(metric(Phase.TRAIN, "last_success_timestamp"), model="net").set(1)
    telemetry.state.gauge(metric(Phase.TEST, "last_success_timestamp"), model="net").set(2)
    telemetry.flush()
    before = len(fake_gateway.requests)
    telemetry.state.gauge(LOSS, model="net").set(0.25)
    telemetry.close()
    assert [request.path for request in fake_gateway.requests[before:]] == [TRAIN]


def test_an_empty_state_has_no_groups() -> None:
    """An empty body would clear what is there; a snapshot and a gauge that were never set are nothing either."""
    state = State()
    assert list(of_runs(members(state.read()), "PUT")) == []
    state.gauge(LOSS, model="a")
    state.gauge(metric(Phase.TRAIN, "last_success_timestamp"), model="a")
    state.snapshot(metric(Phase.TRAIN, "model_weights"), model="a")
    state.gauge(LOSS, model="b").set(math.nan)
    assert all(group.body.strip() for group in of_runs(members(state.read()), "PUT"))
    assert all(b"NaN" not in group.body for group in of_runs(members(state.read()), "PUT"))


def test_what_is_durable_has_a_model_and_no_metric_has_a_groups_label() -> None:
    """Which is what the division goes by."""
    assert all("model" in row.attributes for row in CATALOGUE if row.durable)
    assert not [row.name for row in CATALOGUE if {"job", "phase"} & set(row.attributes)]


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

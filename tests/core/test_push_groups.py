"""Paths of groups, and how a state is divided among them."""

from __future__ import annotations

import base64
import math
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from pushes import LOSS, TEST_LOSS, TRAIN, telemetry_to
from realservers import Gateway as RealGateway

from gangplank.catalogue import CATALOGUE, metric
from gangplank.distribution import Distribution
from gangplank.exporters.pushgateway.address import group_url, without_credentials
from gangplank.exporters.pushgateway.exporter import push_settings
from gangplank.exporters.pushgateway.gateway import Gateway
from gangplank.exporters.pushgateway.groups import Group, members, of_runs
from gangplank.metrics import Phase
from gangplank.state import State
from gangplank.testing import FakeGateway

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

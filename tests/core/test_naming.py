"""Names: legal, unreserved, told apart, and the same the next time."""

from __future__ import annotations

import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangplank.catalogue import reserved_suffixes
from gangplank.metrics import Phase
from gangplank.naming import Names, canonical, legal

PROMETHEUS = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
OPENTELEMETRY = re.compile(r"[a-zA-Z][-_./a-zA-Z0-9]{0,254}")

# Few characters make clashes likely; the reserved ones are mixed in, also with a number as Names itself appends.
KEYS = st.one_of(
    st.text(alphabet="aAbé_/.2 ", max_size=6),
    st.text(max_size=300),
    st.sampled_from(sorted(reserved_suffixes(Phase.TRAIN))),
    st.sampled_from(["running_metric", "Running", "running_metric_2", "a" * 250, "a" * 251, "learning_rate"]),
)


@pytest.fixture
def names() -> Names:
    """The names of a training phase."""
    return Names(Phase.TRAIN)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("loss", "loss"),
        ("AUC", "AUC"),
        ("val__loss", "val__loss"),
        ("head/loss", "head_loss"),
        ("f1 score", "f1_score"),
        ("précision", "pr_cision"),
        ("top-5.acc", "top_5_acc"),
        ("5th", "5th"),
        ("", "_"),
    ],
)
def test_names_are_made_legal_and_otherwise_left_alone(names: Names, key: str, name: str) -> None:
    """What was legal stands as it is, since dashboards ask for it."""
    assert legal(key) == name
    assert names.give([key]) == {key: name}


@pytest.mark.parametrize("keys", [["a/b", "a_b"], ["a_b", "a/b"]])
def test_the_legal_key_keeps_its_name_whatever_the_order(names: Names, keys: list[str]) -> None:
    """Of two keys that would have one name, the one that is legal as it stands has it."""
    assert names.give(keys) == {"a_b": "a_b", "a/b": "a_b_2"}


@pytest.mark.parametrize(
    ("first", "second", "name_of_the_second"),
    [("auc", "AUC", "AUC_2"), ("a__b", "a_b", "a_b_2"), ("a_b", "a__b", "a__b_2"), ("a_b_2", "a_b_2_", "a_b_2__2")],
)
def test_names_that_some_exit_would_merge_are_told_apart(
    names: Names, first: str, second: str, name_of_the_second: str
) -> None:
    """OpenTelemetry ignores case, and its exporters collapse underscores."""
    assert names.give([first, second]) == {first: first, second: name_of_the_second}


def test_a_number_that_is_taken_is_passed_over(names: Names) -> None:
    """The name made for a clash does not clash in its turn."""
    assert names.give(["a_b", "a_b_2", "a/b"]) == {"a_b": "a_b", "a_b_2": "a_b_2", "a/b": "a_b_3"}


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("running", "running_metric"),
        ("Running", "Running_metric"),
        ("steps", "steps_metric"),
        ("steps_total", "steps_total_metric"),
        ("step_duration_count", "step_duration_count_metric"),
        ("elapsed_time_seconds", "elapsed_time_seconds_metric"),
        ("model weights sum", "model_weights_sum_metric"),
        ("learning_rate", "learning_rate"),
    ],
)
def test_reserved_names_get_a_suffix(names: Names, key: str, name: str) -> None:
    """A metric of the model's does not pass for one of the catalogue's; a logged learning rate is that very fact."""
    assert names.give([key]) == {key: name}


def test_what_training_reserves_is_free_in_evaluation() -> None:
    """Evaluation has no running gauge that could be mistaken."""
    assert Names(Phase.TEST).give(["running", "outcome"]) == {"running": "running", "outcome": "outcome_metric"}


def test_a_name_stays_when_better_claims_come_later(names: Names) -> None:
    """A series is not renamed in the middle of a run."""
    assert names.give(["a/b"]) == {"a/b": "a_b"}
    assert names.give(["a_b", "a/b"]) == {"a_b": "a_b_2", "a/b": "a_b"}


def test_a_changed_name_is_warned_of_once(names: Names, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever looks for the metric finds out in the log where it went."""
    with caplog.at_level(logging.WARNING, "gangplank"):
        names.give(["a_b", "a/b", "running"])
        names.give(["a_b", "a/b", "running"])
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert any("'a/b'" in message and "gangplank_train_a_b_2" in message for message in messages)
    assert any("'running'" in message and "gangplank_train_running_metric" in message for message in messages)


def test_names_that_are_only_made_legal_are_not_warned_of(names: Names, caplog: pytest.LogCaptureFixture) -> None:
    """A slash in every metric of a model with several heads is no news."""
    with caplog.at_level(logging.WARNING, "gangplank"):
        names.give(["loss", "head/loss", "AUC"])
    assert caplog.records == []


@pytest.mark.parametrize(
    ("name", "same"), [("AUC", "auc"), ("a__b", "a_b"), ("_a_", "a"), ("a___B_", "a_b"), ("", "_")]
)
def test_the_canonical_form_forgets_case_and_repeated_underscores(name: str, same: str) -> None:
    """The form in which names are compared."""
    assert canonical(name) == canonical(same)


@given(st.lists(KEYS, unique=True, max_size=12), st.sampled_from([Phase.TRAIN, Phase.TEST]))
def test_any_keys_get_distinct_legal_unreserved_names_for_good(keys: list[str], phase: Phase) -> None:
    """Whatever metrics are called, no exit merges or refuses them, and a second epoch finds the same names."""
    table = Names(phase)
    given_names = table.give(keys)
    assert set(given_names) == set(keys)
    assert len({canonical(name) for name in given_names.values()}) == len(keys)
    reserved = reserved_suffixes(phase) - {"learning_rate"}
    for name in given_names.values():
        full = f"gangplank_{phase.value}_{name}"
        assert PROMETHEUS.fullmatch(full)
        assert OPENTELEMETRY.fullmatch(full)
        assert canonical(name) not in reserved
    assert table.give(reversed(keys)) == given_names


@given(st.lists(KEYS, unique=True, min_size=2, max_size=8), st.integers(1, 7))
def test_keys_that_come_later_get_names_of_their_own(keys: list[str], cut: int) -> None:
    """A metric that appears only after some epochs takes nobody's name."""
    table = Names(Phase.TRAIN)
    early = table.give(keys[:cut])
    everything = table.give(keys)
    assert {key: everything[key] for key in early} == early
    assert len({canonical(name) for name in everything.values()}) == len(keys)

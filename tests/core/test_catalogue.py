"""The catalogue: every name that was promised, once, and legal wherever it goes."""

from __future__ import annotations

import re

import pytest

from gangplank.catalogue import (
    BATCH_SIZE_BOUNDS,
    CALL_DURATION_BOUNDS,
    CATALOGUE,
    STEP_DURATION_BOUNDS,
    find,
    metric,
    model_metric,
    reserved_suffixes,
)
from gangplank.metrics import Kind, Metric, Outcome, Phase, Union
from gangplank.naming import canonical

PROMISED = {
    "gangplank_train_epochs_count": ("gauge", ("model",)),
    "gangplank_train_elapsed_time_seconds": ("gauge", ("model",)),
    "gangplank_train_model_parameters_count": ("gauge", ("model",)),
    "gangplank_train_model_weights": ("histogram", ("model",)),
    "gangplank_train_learning_rate": ("gauge", ("model",)),
    "gangplank_train_steps_total": ("counter", ("model",)),
    "gangplank_train_step_duration_seconds": ("histogram", ("model",)),
    "gangplank_train_epoch_duration_seconds": ("gauge", ("model",)),
    "gangplank_train_last_step_timestamp_seconds": ("gauge", ("model",)),
    "gangplank_train_running": ("gauge", ("model",)),
    "gangplank_train_outcome": ("gauge", ("model", "outcome")),
    "gangplank_train_last_success_timestamp_seconds": ("gauge", ("model",)),
    "gangplank_train_last_completion_timestamp_seconds": ("gauge", ("model",)),
    "gangplank_train_nonfinite_total": ("counter", ("model", "metric")),
    "gangplank_train_info": ("gauge", ("model", "keras", "backend", "gangplank", "python")),
    "gangplank_test_elapsed_time_seconds": ("gauge", ("model",)),
    "gangplank_test_model_parameters_count": ("gauge", ("model",)),
    "gangplank_test_model_weights": ("histogram", ("model",)),
    "gangplank_test_outcome": ("gauge", ("model", "outcome")),
    "gangplank_test_last_success_timestamp_seconds": ("gauge", ("model",)),
    "gangplank_test_last_completion_timestamp_seconds": ("gauge", ("model",)),
    "gangplank_test_nonfinite_total": ("counter", ("model", "metric")),
    "gangplank_predict_total": ("counter", ("model",)),
    "gangplank_predict_time_seconds_total": ("counter", ("model",)),
    "gangplank_predict_call_total": ("counter", ("model",)),
    "gangplank_predict_call_time_seconds_total": ("counter", ("model",)),
    "gangplank_predict_duration_seconds": ("histogram", ("model", "method", "error_type")),
    "gangplank_predict_errors_total": ("counter", ("model", "method", "error_type")),
    "gangplank_predict_in_flight": ("gauge", ("model",)),
    "gangplank_predict_batch_size": ("histogram", ("model",)),
    "gangplank_predict_last_timestamp_seconds": ("gauge", ("model",)),
    "gangplank_predict_drift_detected_total": ("counter", ("model",)),
    "gangplank_predict_drift_p_value": ("gauge", ("model",)),
    "gangplank_predict_drift_test_statistic": ("gauge", ("model",)),
    "gangplank_predict_drift_samples_total": ("counter", ("model", "result")),
    "gangplank_export_pushes_total": ("counter", ("result",)),
    "gangplank_export_time_seconds_total": ("counter", ()),
    "gangplank_export_last_success_timestamp_seconds": ("gauge", ()),
    "gangplank_export_errors_total": ("counter", ("error_type",)),
}

FROZEN = {
    "gangplank_train_epochs_count",
    "gangplank_train_elapsed_time_seconds",
    "gangplank_train_model_parameters_count",
    "gangplank_train_model_weights",
    "gangplank_test_elapsed_time_seconds",
    "gangplank_test_model_parameters_count",
    "gangplank_test_model_weights",
    "gangplank_predict_total",
    "gangplank_predict_time_seconds_total",
    "gangplank_predict_call_total",
    "gangplank_predict_call_time_seconds_total",
    "gangplank_predict_drift_detected_total",
    "gangplank_predict_drift_p_value",
    "gangplank_predict_drift_test_statistic",
}

CATALOGUED = [pytest.param(row, id=row.name) for row in CATALOGUE]


def test_what_was_promised_is_there_with_its_type_and_labels() -> None:
    """Dashboards ask for these names: each is in the table, with the type and the labels that they expect."""
    rows = {row.prometheus_name: (row.prometheus_type, row.attributes) for row in CATALOGUE}
    assert {name: rows.get(name) for name in PROMISED} == PROMISED


def test_the_predecessors_names_are_frozen() -> None:
    """Exactly the names that gangplank 0.5.0 had are marked as its own."""
    assert {row.prometheus_name for row in CATALOGUE if row.predecessor} == FROZEN


def test_names_are_unique_at_every_exit() -> None:
    """No two rows share an instrument name or a Prometheus name, compared as OpenTelemetry compares."""
    for names in ([row.name for row in CATALOGUE], [row.prometheus_name for row in CATALOGUE]):
        assert len({canonical(name) for name in names}) == len(names)


def test_no_name_is_a_series_of_a_histogram() -> None:
    """A gauge called like a histogram's _count would make a gateway refuse the whole push."""
    parts = {
        f"{row.prometheus_name}_{part}"
        for row in CATALOGUE
        if row.prometheus_type == "histogram"
        for part in ("bucket", "count", "sum")
    }
    assert parts.isdisjoint(row.prometheus_name for row in CATALOGUE)


@pytest.mark.parametrize("row", CATALOGUED)
def test_names_are_legal_and_say_what_prometheus_expects(row: Metric) -> None:
    """Instrument names carry neither unit nor _total; Prometheus names carry both."""
    assert re.fullmatch(r"gangplank_(predict|(train|test|predict|export)_[a-z][a-z0-9_]*)", row.name)
    assert not row.name.endswith(("_total", "_seconds"))
    assert row.prometheus_name.endswith("_total") == (row.kind is Kind.COUNTER)
    assert ("_seconds" in row.prometheus_name) == (row.unit == "s")
    assert row.description.endswith(".")


@pytest.mark.parametrize("row", CATALOGUED)
def test_labels_are_legal_and_keep_off_those_a_server_sets(row: Metric) -> None:
    """A gateway overwrites job and instance; le belongs to histograms."""
    assert len(set(row.attributes)) == len(row.attributes)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", label) for label in row.attributes)
    assert {"job", "instance", "phase", "le", "quantile"}.isdisjoint(row.attributes)


@pytest.mark.parametrize("row", CATALOGUED)
def test_only_histograms_have_bounds(row: Metric) -> None:
    """Bounds are there where they are needed, and increase."""
    assert bool(row.bounds) == (row.kind is Kind.HISTOGRAM)
    assert list(row.bounds) == sorted(set(row.bounds))


def test_calls_are_told_apart_from_under_a_millisecond_to_a_minute() -> None:
    """And sizes of batches from one sample to what a whole data set has."""
    assert (CALL_DURATION_BOUNDS[0], CALL_DURATION_BOUNDS[-1]) == (0.0005, 60)
    assert (BATCH_SIZE_BOUNDS[0], BATCH_SIZE_BOUNDS[-1]) == (1, 65536)


def test_step_durations_are_told_apart_from_a_millisecond_to_minutes() -> None:
    """Bounds for milliseconds, which OpenTelemetry has by default, would put every step into one bucket."""
    assert STEP_DURATION_BOUNDS[0] <= 0.001
    assert STEP_DURATION_BOUNDS[-1] >= 60


def test_what_outlives_a_run_is_what_batch_alerts_read() -> None:
    """Only the timestamps of what last ended stay at a gateway when a newer run begins; of several, the latest."""
    lasting = {row for row in CATALOGUE if row.durable}
    assert {row.prometheus_name for row in lasting} == {
        *(f"gangplank_{phase}_last_success_timestamp_seconds" for phase in ("train", "test")),
        *(f"gangplank_{phase}_last_completion_timestamp_seconds" for phase in ("train", "test")),
        "gangplank_predict_last_timestamp_seconds",
    }
    assert lasting == {row for row in CATALOGUE if row.union is Union.GREATEST}


def test_calls_that_run_now_are_added_up() -> None:
    """Of two workers with three calls each, six are in flight; of every other gauge one value stands."""
    assert {row.prometheus_name for row in CATALOGUE if row.union is Union.SUM} == {"gangplank_predict_in_flight"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gangplank_predict_errors_total", "gangplank_predict_duration_seconds"),
        ("gangplank_predict_time_seconds_total", "gangplank_predict_total"),
        ("gangplank_predict_call_time_seconds_total", "gangplank_predict_call_total"),
        ("gangplank_predict_drift_detected_total", "gangplank_predict_total"),
    ],
)
def test_what_is_divided_by_one_another_has_the_same_labels(one: str, other: str) -> None:
    """So that an error rate or a mean time is one division, without on() or ignoring()."""
    assert PROMISED[one][1] == PROMISED[other][1]


def test_outcomes_are_the_four_that_alerts_know() -> None:
    """The values of the outcome label."""
    assert {outcome.value for outcome in Outcome} == {"success", "failed", "interrupted", "diverged"}


def test_rows_are_found_by_phase_and_suffix() -> None:
    """A row that is missing is a KeyError, or None where that is asked for."""
    steps = metric(Phase.TRAIN, "steps")
    assert steps.prometheus_name == "gangplank_train_steps_total"
    assert find(Phase.TRAIN, "steps") is steps
    assert find(Phase.TEST, "steps") is None
    with pytest.raises(KeyError):
        metric(Phase.TEST, "steps")


def test_a_models_own_metric_is_a_gauge_by_its_own_name() -> None:
    """Loss and its like carry no unit and no suffix."""
    row = model_metric(Phase.TEST, "loss")
    assert (row.name, row.prometheus_name, row.prometheus_type) == ("gangplank_test_loss",) * 2 + ("gauge",)
    assert row.attributes == ("model",)
    assert not row.durable


@pytest.mark.parametrize(
    "suffix",
    [
        *("running", "outcome", "info", "epochs_count", "learning_rate"),
        *("elapsed_time", "elapsed_time_seconds", "steps", "steps_total", "nonfinite", "nonfinite_total"),
        *("model_weights", "model_weights_bucket", "model_weights_sum", "model_weights_count"),
        *("step_duration", "step_duration_count", "step_duration_seconds", "step_duration_seconds_bucket"),
    ],
)
def test_names_that_the_catalogue_has_are_reserved(suffix: str) -> None:
    """As OpenTelemetry and as Prometheus have them, and what histograms are taken apart into."""
    assert suffix in reserved_suffixes(Phase.TRAIN)


def test_each_phase_reserves_only_its_own_names() -> None:
    """What training reserves is free in evaluation, unless evaluation has it too."""
    reserved = reserved_suffixes(Phase.TEST)
    assert {"running", "steps_total", "learning_rate"}.isdisjoint(reserved)
    assert {"outcome", "model_weights_sum", "elapsed_time_seconds"} <= reserved
    assert {"loss", "accuracy"}.isdisjoint(reserved | reserved_suffixes(Phase.TRAIN))

"""Groups at a real Pushgateway: what stands there when several processes, runs and exits push for one job."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterable

import pytest
import realservers
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client.parser import text_string_to_metric_families
from pushes import NEVER
from realservers import Gateway, Prometheus
from trainings import LOSS, TEST_LOSS, samples, telemetry_for, train

from gangplank import PushgatewayMetricReader, Telemetry
from gangplank.metrics import Phase
from gangplank.runs import Run
from gangplank.testing import ManualClock
from gangplank.training import TrainingRun

_PROGRAM = """
    import sys
    from gangplank import PushgatewayExporter, Telemetry
    from gangplank.metrics import Phase
    from gangplank.runs import Run
    from gangplank.training import TrainingRun

    address, phase, value = sys.argv[1:]
    telemetry = Telemetry(exporters=[PushgatewayExporter(address, "mnist")])
    telemetry.start()
    run = TrainingRun(telemetry, "net") if phase == "train" else Run(telemetry, Phase(phase), "net")
    run.metrics([("loss", float(value))])
    print("ready", flush=True)
    sys.stdin.read()
    run.end()
"""


def _start(gateway: Gateway, phase: str, value: float, **environment: str) -> subprocess.Popen[str]:
    """Start a process that reports a loss, and lasts until its input ends."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(_PROGRAM), gateway.address, phase, str(value)]
    return subprocess.Popen(
        command, env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _finish(processes: Iterable[subprocess.Popen[str]]) -> None:
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0


ANY_TEXT = [
    ".",
    "..",
    "...",
    "/",
    "//",
    "a/b",
    "/metrics/job/other",
    " ",
    "a b",
    "%2F",
    "%",
    "100%25",
    "+",
    "a+b=c&d;e?f#g",
    "=",
    "a\nb",
    "\r\n",
    "\t",
    'quo"ted',
    "it's",
    "back\\slash\\n",
    "{a},b",
    "Ünïcödé 模型 🦊",
    "e\u0301",
    "\u2028",
    "@base64",
    "\x7f\x01",
    "~user:pass@host",
    "a" * 2000,
]


@pytest.mark.parametrize("text", ANY_TEXT, ids=ascii)
def test_any_text_is_a_job_a_grouping_key_and_a_model(text: str, gateway: Gateway) -> None:
    """It comes back as it was, in every group and in none beside."""
    job = text if text.strip() else f"({text})"
    with telemetry_for(gateway, job, grouping_key={"instance": text, "empty": ""}) as telemetry:
        train(telemetry, text)
    page = list(text_string_to_metric_families(realservers.get(f"{gateway.url}/metrics")))
    ours = [sample for family in page for sample in family.samples if "job" in sample.labels]
    assert {(sample.labels["job"], sample.labels["instance"]) for sample in ours} == {(job, text)}
    assert {sample.labels["model"] for sample in ours if sample.name.startswith("gangplank_train_")} == {text}
    assert {sample.value for sample in ours if sample.name == "push_failure_time_seconds"} == {0}
    assert gateway.value("gangplank_train_last_success_timestamp_seconds", job=job) is not None
    assert gateway.value(LOSS, job=job, phase="train") == 0.5
    groups = {sample.labels.get("phase", "") or sample.labels.get("model", "") for sample in ours}
    assert groups == {"train", text, ""}


def test_a_model_without_a_name(gateway: Gateway) -> None:
    """An empty label is none, and the model is pushed all the same."""
    with telemetry_for(gateway) as telemetry:
        train(telemetry, "")
    assert gateway.value(LOSS, job="mnist") == 0.5
    assert gateway.value("gangplank_train_last_success_timestamp_seconds", job="mnist") is not None


def test_jobs_that_look_alike_are_apart(gateway: Gateway) -> None:
    """A job whose name is a path does not write into the group of another."""
    names = ["a", "a/phase/train", "a/instance/x", "a%2Fphase%2Ftrain", "a@base64"]
    for number, name in enumerate(names):
        with telemetry_for(gateway, name) as telemetry:
            train(telemetry, metrics={"loss": float(number)})
    assert [gateway.value(LOSS, job=name) for name in names] == [0, 1, 2, 3, 4]


def test_put_takes_away_what_a_newer_run_has_not(gateway: Gateway) -> None:
    """The loss is the newer run's; a metric of the earlier one is not shown as if it still were."""
    for metrics in ({"loss": 1.0, "mae": 2.0}, {"loss": 0.5}):
        with telemetry_for(gateway) as telemetry:
            train(telemetry, metrics=metrics)
    assert gateway.value(LOSS) == 0.5
    assert gateway.value("gangplank_train_mae") is None


def test_post_leaves_what_a_newer_run_has_not(gateway: Gateway) -> None:
    """Who asks for POST gets the sum of runs."""
    for metrics in ({"loss": 1.0, "mae": 2.0}, {"loss": 0.5}):
        with telemetry_for(gateway, method="POST") as telemetry:
            train(telemetry, metrics=metrics)
    assert gateway.value(LOSS) == 0.5
    assert gateway.value("gangplank_train_mae") == 2


def test_what_became_nan_is_not_left_standing(gateway: Gateway) -> None:
    """Within one process, too: the group is replaced, by PUT, by one without it."""
    with telemetry_for(gateway) as telemetry:
        run = TrainingRun(telemetry, "net")
        run.end_epoch(1, [("loss", 1.0), ("mae", 2.0)])
        telemetry.flush()
        assert gateway.value("gangplank_train_mae") == 2
        run.end_epoch(2, [("loss", 1.0), ("mae", float("nan"))])
        telemetry.flush()
        assert gateway.value("gangplank_train_mae") is None
        assert gateway.value("gangplank_train_nonfinite_total", metric="mae") == 1


def test_no_process_of_a_job_overwrites_another(gateway: Gateway, prometheus: Prometheus) -> None:
    """Two ranks, each with training and evaluation, all at once: eight facts, and Prometheus has them all."""
    expected = {}
    processes: list[subprocess.Popen[str]] = []
    for rank in range(2):
        ranks = {"RANK": str(rank), "WORLD_SIZE": "2"}
        for name, phase in ((LOSS, "train"), (TEST_LOSS, "test")):
            value = float(len(processes) + 1)
            expected[name, str(rank)] = value
            processes.append(_start(gateway, phase, value, **ranks))
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    _finish(processes)
    found = {
        (name, labels["rank"]): at for name in (LOSS, TEST_LOSS) for labels, at in gateway.series(name, job="mnist")
    }
    assert found == expected
    for phase in ("train", "test"):
        outcome = gateway.series(f"gangplank_{phase}_outcome", job="mnist", outcome="success")
        assert sorted((labels["rank"], value) for labels, value in outcome) == [("0", 1), ("1", 1)]
        lasting = gateway.series(f"gangplank_{phase}_last_success_timestamp_seconds", job="mnist", model="net")
        assert sorted(labels["rank"] for labels, _ in lasting) == ["0", "1"]
    for (name, number), value in expected.items():
        query = f'{name}{{job="mnist",instance="",rank="{number}"}} == {value}'
        assert len(prometheus.wait_for(query)) == 1


def test_a_job_of_one_process_has_no_rank(gateway: Gateway) -> None:
    """A launcher that starts one process only sets the variables as well."""
    _finish([_start(gateway, "train", 1.0, RANK="0", WORLD_SIZE="1")])
    ((labels, _),) = gateway.series(LOSS, job="mnist")
    assert "rank" not in labels


@pytest.mark.parametrize("through_reader", [False, True], ids=["exporter", "reader"])
def test_delete_at_the_end_takes_only_what_was_pushed(gateway: Gateway, *, through_reader: bool) -> None:
    """Of this job an evaluation by somebody else, of this gateway other jobs and keys, stand."""
    for job, settings in (("other", {}), ("mnist", {"grouping_key": {"instance": "b"}})):
        with telemetry_for(gateway, job, **settings) as telemetry:
            train(telemetry)
    with telemetry_for(gateway) as telemetry:
        run = Run(telemetry, Phase.TEST, "another")
        run.metrics([("loss", 0.25)])
        run.end()
    before = {job: samples(gateway, job) for job in ("other", "mnist")}
    if through_reader:
        reader = PushgatewayMetricReader(gateway.address, "mnist", interval=NEVER, at_end="delete")
        provider = MeterProvider([reader], shutdown_on_exit=False)
        with Telemetry(meter_provider=provider, clock=ManualClock()) as telemetry:
            train(telemetry)
            assert provider.force_flush()
            assert gateway.value(LOSS, job="mnist", phase="train", instance="") == 0.5
        provider.shutdown()
    else:
        with telemetry_for(gateway, at_end="delete") as telemetry:
            train(telemetry)
            telemetry.flush()
            assert gateway.value(LOSS, job="mnist", phase="train", instance="") == 0.5
    assert {job: samples(gateway, job) for job in ("other", "mnist")} == before


def test_prometheus_sees_groups_as_they_are(gateway: Gateway, prometheus: Prometheus) -> None:
    """With ``honor_labels`` the job is the program's, and text in labels is what it was."""
    key = {"instance": "höst/1", "team": 'a "b"\n'}
    with telemetry_for(gateway, "a/b c", grouping_key=key) as telemetry:
        train(telemetry)
    ((labels, value),) = prometheus.wait_for(LOSS)
    assert value == 0.5
    expected = {"__name__": LOSS, "job": "a/b c", "phase": "train", "model": "net", **key}
    assert labels == expected
    quantile = "histogram_quantile(0.5, gangplank_train_step_duration_seconds_bucket)"
    assert len(prometheus.wait_for(quantile)) == 1

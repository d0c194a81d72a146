"""Which process of a distributed run this is, and what it then says where."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from processes import Page
from pushes import NEVER
from realservers import free_port
from traces import named

from gangplank import ConfigurationError, PushgatewayExporter, PushgatewayMetricReader, Telemetry, summarize_weights
from gangplank.ranks import rank
from gangplank.testing import FakeGateway, InMemoryExporter

pytestmark = pytest.mark.usefixtures("_one_process")

WORKERS: dict[str, Any] = {"worker": ["a:1", "b:1"]}


def tensorflow(cluster: object, kind: str, index: object) -> dict[str, str]:
    """Return what TensorFlow's strategies read."""
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"RANK": "1", "WORLD_SIZE": "2"}, (1, "RANK")),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"RANK": "1"}, None),
        ({"RANK": "one", "WORLD_SIZE": "2"}, None),
        ({"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4"}, (3, "OMPI_COMM_WORLD_RANK")),
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "4"}, (0, "SLURM_PROCID")),
        (tensorflow(WORKERS, "worker", 1), (1, "TF_CONFIG")),
        (tensorflow({**WORKERS, "chief": ["c:1"]}, "worker", 1), (2, "TF_CONFIG")),
        (tensorflow({**WORKERS, "chief": ["c:1"]}, "chief", 0), (0, "TF_CONFIG")),
        (tensorflow({"worker": ["a:1"]}, "worker", 0), None),
        (tensorflow({**WORKERS, "ps": ["p:1"]}, "ps", 0), None),
        (tensorflow(WORKERS, "worker", None), None),
        ({"TF_CONFIG": "{"}, None),
        ({"TF_CONFIG": "[]"}, None),
        ({"TF_CONFIG": '{"cluster": 3, "task": 4}'}, None),
    ],
)
def test_what_launchers_say(environ: dict[str, str], expected: tuple[int, str] | None) -> None:
    """Only where there are several processes; nonsense is no rank."""
    assert rank(environ) == expected


@pytest.mark.parametrize(
    ("number", "count", "expected"),
    [
        (1, 2, (1, "Ray Train")),
        (0, 2, (0, "Ray Train")),
        (0, 1, (3, "SLURM_PROCID")),
        (None, None, (3, "SLURM_PROCID")),
    ],
)
def test_what_ray_train_says(
    monkeypatch: pytest.MonkeyPatch, number: int | None, count: int | None, expected: tuple[int, str]
) -> None:
    """Its workers have the environment of what started Ray on their machine, which is no rank among them."""
    context = SimpleNamespace(get_world_rank=lambda: number, get_world_size=lambda: count)
    monkeypatch.setitem(sys.modules, "ray.train", SimpleNamespace(get_context=lambda: context))
    assert rank({"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4"}) == expected


def test_ray_train_outside_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the program that starts the job: it says so by raising."""

    def get_context() -> object:
        raise RuntimeError("`get_context` cannot be used outside of a Ray Train training function.")

    monkeypatch.setitem(sys.modules, "ray.train", SimpleNamespace(get_context=get_context))
    assert rank({}) is None


@pytest.mark.parametrize("error", [None, ValueError])
def test_a_worker_of_ray_train_has_delivered_when_its_run_ends(
    monkeypatch: pytest.MonkeyPatch, fake_gateway: FakeGateway, error: type[Exception] | None
) -> None:
    """Ray kills it then, and no end of a program comes."""
    context = SimpleNamespace(get_world_rank=lambda: 1, get_world_size=lambda: 2)
    monkeypatch.setitem(sys.modules, "ray.train", SimpleNamespace(get_context=lambda: context))
    telemetry = Telemetry(exporters=[PushgatewayExporter(fake_gateway.address, "mnist", interval=NEVER)])
    with suppress(ValueError), telemetry.training_run("net"):
        if error is not None:
            raise error
    (*_, last) = [request for request in fake_gateway.requests if request.path.endswith("/phase/train/rank/1")]
    outcome = "success" if error is None else "failed"
    assert Page(last.body).value("gangplank_train_outcome", model="net", outcome=outcome) == 1
    telemetry.close()


def test_a_worker_of_ray_train_trains_without_its_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be delivered is given up."""
    context = SimpleNamespace(get_world_rank=lambda: 0, get_world_size=lambda: 1)
    monkeypatch.setitem(sys.modules, "ray.train", SimpleNamespace(get_context=lambda: context))
    telemetry = Telemetry(exporters=[PushgatewayExporter(f"127.0.0.1:{free_port()}", "mnist", interval=NEVER)])
    with telemetry.training_run("net"):
        pass
    assert not telemetry.is_closed
    telemetry.close()


@pytest.mark.parametrize("number", [0, 1])
def test_what_each_process_says(telemetry: Telemetry, memory: InMemoryExporter, number: int) -> None:
    """Health and timing, and of what all of them share the first one alone."""
    with telemetry.training_run("net", rank=number) as run:
        run.parameters(4)
        run.learning_rate(0.5)
        run.step()
        run.weights(summarize_weights([], (0.0,)))
        run.epoch({"loss": 0.5})
    of_run = {"model": "net", "rank": str(number)}
    for name in ("running", "steps_total", "epochs_count", "epoch_duration_seconds", "last_success_timestamp_seconds"):
        [(labels, _)] = memory.series(f"gangplank_train_{name}")
        assert labels == of_run
    [(labels, _)] = memory.series("gangplank_train_step_duration_seconds")
    assert labels == of_run
    assert memory.value("gangplank_train_outcome", outcome="success", rank=str(number)) == 1
    for name in ("loss", "model_parameters_count", "model_weights"):
        assert [labels for labels, _ in memory.series(f"gangplank_train_{name}")] == [of_run] * (number == 0)


def test_a_loss_that_diverged_in_one_process_is_seen_there(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """Though it is not exported."""
    with telemetry.training_run("net", rank=1) as run:
        run.epoch({"loss": float("nan")})
    assert memory.value("gangplank_train_outcome", outcome="diverged", rank="1") == 1


def test_the_environments_rank(telemetry: Telemetry, memory: InMemoryExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is that of a loop that says nothing, and of an evaluation."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with telemetry.training_run("net"), telemetry.evaluation_run("net"):
        pass
    for phase in ("train", "test"):
        assert memory.value(f"gangplank_{phase}_outcome", outcome="success", rank="1") == 1


@pytest.mark.parametrize(("value", "error"), [(-1, ConfigurationError), ("1", TypeError), (True, TypeError)])
def test_a_wrong_rank(telemetry: Telemetry, value: Any, error: type[Exception]) -> None:
    """Is refused by name."""
    for begin in (telemetry.training_run, telemetry.evaluation_run):
        with pytest.raises(error, match="rank"):
            begin("net", rank=value)


def test_a_newer_run_takes_away_its_own(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """And leaves those of another rank, such as a program has that plays several."""
    for number in (0, 1):
        telemetry.training_run("net", rank=number).epoch({"loss": 0.5})
    telemetry.training_run("net", rank=1)
    assert memory.value("gangplank_train_epochs_count", rank="0") == 1
    assert memory.value("gangplank_train_epochs_count", rank="1") is None


@pytest.fixture(params=["exporter", "reader"])
def telemetry_at(request: pytest.FixtureRequest, fake_gateway: FakeGateway) -> Iterator[Any]:
    """Return a telemetry at the gateway, and what flushes it."""
    opened: list[Any] = []

    def make(**settings: Any) -> tuple[Telemetry, Any]:
        if request.param == "exporter":
            exporter = PushgatewayExporter(fake_gateway.address, "mnist", interval=NEVER, **settings)
            telemetry = Telemetry(exporters=[exporter])
            telemetry.start()
            opened.append(telemetry.close)
            return telemetry, telemetry.flush
        reader = PushgatewayMetricReader(fake_gateway.address, "mnist", interval=NEVER, **settings)
        provider = MeterProvider([reader], shutdown_on_exit=False)
        telemetry = Telemetry(meter_provider=provider)
        telemetry.start()
        provider.get_meter("x").create_counter("own").add(1, {"rank": "7"})
        opened.append(provider.shutdown)
        return telemetry, reader.force_flush

    yield make
    for close in opened:
        close()


@pytest.mark.parametrize("by_environment", [True, False])
def test_groups_at_a_gateway(
    fake_gateway: FakeGateway, telemetry_at: Any, monkeypatch: pytest.MonkeyPatch, *, by_environment: bool
) -> None:
    """Each process has its own, whether the launcher's environment says which it is or the framework."""
    if by_environment:
        monkeypatch.setenv("RANK", "1")
        monkeypatch.setenv("WORLD_SIZE", "2")
    telemetry, flush = telemetry_at()
    with telemetry.training_run("net", rank=None if by_environment else 1) as run:
        run.step()
        run.epoch({"loss": 0.5})
    flush()
    bodies = {request.path: request.body for request in fake_gateway.requests}
    base = "/metrics/job/mnist"
    assert bodies.keys() == {f"{base}/phase/train/rank/1", f"{base}/model/net/rank/1", f"{base}/rank/1"}
    assert Page(bodies[f"{base}/phase/train/rank/1"]).value("gangplank_train_steps_total", model="net") == 1
    ours = [line for body in bodies.values() for line in body.splitlines() if line.startswith("gangplank_train")]
    assert not [line for line in ours if "rank" in line]


def test_the_users_own_rank(fake_gateway: FakeGateway, telemetry_at: Any) -> None:
    """Stands as it is given."""
    telemetry, flush = telemetry_at(grouping_key={"rank": "first"})
    with telemetry.training_run("net", rank=0) as run:
        run.epoch({"loss": 0.5})
    flush()
    assert all(request.path.endswith("/rank/first") for request in fake_gateway.requests)


def test_the_rank_is_on_the_span(provider: TracerProvider, spans: InMemorySpanExporter) -> None:
    """Of which there is one for each process."""
    with Telemetry(exporters=[InMemoryExporter()], tracer_provider=provider) as telemetry:
        telemetry.training_run("net", rank=1).end()
    assert (named(spans, "fit net").attributes or {})["gangplank.rank"] == "1"

"""Training loops of one's own: ``with telemetry.training_run(...)``."""

from __future__ import annotations

from typing import Any

import pytest
from pushes import NEVER

from gangplank import ConfigurationError, PushgatewayExporter, Telemetry
from gangplank.testing import FakeGateway, InMemoryExporter, ManualClock


class Scalar:
    """A number of some framework's, such as a tensor of one element."""

    def __init__(self, value: float) -> None:
        self._value = value

    def __float__(self) -> float:
        return self._value


def outcome(memory: InMemoryExporter, phase: str = "train") -> list[str]:
    """Return the outcomes that are shown as that of the last run."""
    return [labels["outcome"] for labels, value in memory.series(f"gangplank_{phase}_outcome") if value == 1]


def test_a_loop(telemetry: Telemetry, memory: InMemoryExporter, clock: ManualClock) -> None:
    """Everything that a fit shows but what only Keras knows."""
    with telemetry.training_run("net") as run:
        assert memory.value("gangplank_train_running", model="net") == 1
        for epoch in (1, 2):
            for _ in range(10):
                clock.advance(0.5)
                run.step()
            run.epoch({"loss": Scalar(1 / epoch), "accuracy": 0.5})
            assert memory.value("gangplank_train_epochs_count") == epoch
            assert memory.value("gangplank_train_epoch_duration_seconds") == 5
        assert memory.value("gangplank_train_loss", model="net") == 0.5
    assert memory.value("gangplank_train_steps_total") == 20
    [(_, durations)] = memory.series("gangplank_train_step_duration_seconds")
    assert (durations.sum, durations.count) == (10, 20)  # type: ignore[union-attr]
    assert memory.value("gangplank_train_running", model="net") == 0
    assert memory.value("gangplank_train_elapsed_time_seconds") == 10
    assert outcome(memory) == ["success"]


@pytest.mark.parametrize(("kind", "phase"), [("training_run", "train"), ("evaluation_run", "test")])
def test_a_run_is_there_when_it_begins(fake_gateway: FakeGateway, kind: str, phase: str) -> None:
    """A process that is killed soon after has shown what it was doing, and the outcome of the run before is gone."""
    exporter = PushgatewayExporter(fake_gateway.address, "mnist", interval=NEVER)
    with Telemetry(exporters=[exporter]) as telemetry, getattr(telemetry, kind)("net"):
        (request, *_) = fake_gateway.wait_for(1)
    assert request.path.endswith(f"/phase/{phase}")
    assert f"gangplank_{phase}_elapsed_time_seconds" in request.body


def test_time_between_epochs_is_of_the_next_ones_first_step(
    telemetry: Telemetry, memory: InMemoryExporter, clock: ManualClock
) -> None:
    """Waiting for data is part of a step, the first one included."""
    with telemetry.training_run("net") as run:
        clock.advance(2)
        run.step(count=4)
        run.epoch({})
        clock.advance(3)
        run.step()
        run.epoch({})
    [(_, durations)] = memory.series("gangplank_train_step_duration_seconds")
    assert (durations.sum, durations.count) == (5, 5)  # type: ignore[union-attr]
    assert memory.value("gangplank_train_epoch_duration_seconds") == 3


def test_metrics_in_the_middle_of_an_epoch(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """For runs of one long epoch, as often as the loop cares to look."""
    with telemetry.training_run("net") as run:
        run.step({"loss": 0.75})
        assert memory.value("gangplank_train_loss") == 0.75
        run.step()
        run.step({"loss": Scalar(0.25)})
        assert memory.value("gangplank_train_loss") == 0.25
        assert memory.value("gangplank_train_steps_total") == 3
        assert memory.value("gangplank_train_epochs_count") is None


@pytest.mark.parametrize("epochs", [None, 3])
def test_how_many_epochs_are_planned(telemetry: Telemetry, memory: InMemoryExporter, epochs: int | None) -> None:
    """Where the loop says so; otherwise nothing is made up."""
    with telemetry.training_run("net", epochs=epochs):
        assert memory.value("gangplank_train_epochs_planned", model="net") == epochs


def test_a_number_of_epochs_that_is_none(telemetry: Telemetry) -> None:
    """Refused by name."""
    with pytest.raises(ConfigurationError, match=r"^epochs must be at least 1, got 0"):
        telemetry.training_run("net", epochs=0)
    with pytest.raises(TypeError, match=r"^epochs must be a whole number"):
        telemetry.training_run("net", epochs="3")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "expected"),
    [(ValueError, "failed"), (KeyboardInterrupt, "interrupted"), (SystemExit, "interrupted"), (None, "diverged")],
)
def test_how_it_ended(
    telemetry: Telemetry, memory: InMemoryExporter, error: type[BaseException] | None, expected: str
) -> None:
    """As of a fit; and the exception is the program's own."""

    def loop() -> None:
        with telemetry.training_run("net") as run:
            run.epoch({"loss": float("nan") if error is None else 0.5})
            if error is not None:
                raise error

    if error is None:
        loop()
    else:
        with pytest.raises(error):
            loop()
    assert outcome(memory) == [expected]
    assert (memory.value("gangplank_train_loss") is None) == (error is None)


def test_an_evaluation(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """Is a test, and leaves training alone."""
    with telemetry.training_run("net") as run:
        run.epoch({"loss": 0.5})
    with telemetry.evaluation_run("net", metrics=["loss"]) as evaluation:
        evaluation.report({"loss": Scalar(0.75), "accuracy": 0.5})
    assert memory.value("gangplank_test_loss") == 0.75
    assert memory.value("gangplank_test_accuracy") is None
    assert memory.value("gangplank_train_loss") == 0.5
    assert outcome(memory, "test") == ["success"]


@pytest.mark.parametrize("bad", [{"accuracy": object()}, {"accuracy": "n/a"}, {3: [1, 2]}, {"huge": 10**400}])
def test_what_is_no_number_is_left_out(
    telemetry: Telemetry, memory: InMemoryExporter, caplog: pytest.LogCaptureFixture, bad: Any
) -> None:
    """And nothing else with it; it is logged once."""
    with telemetry.training_run("net") as run:
        for _ in range(2):
            run.step({**bad, "loss": 0.25})
            run.epoch({**bad, "loss": 0.5})
        assert memory.value("gangplank_train_epochs_count") == 2
        assert memory.value("gangplank_train_loss") == 0.5
        run.epoch({**bad, "loss": float("nan")})
    assert outcome(memory) == ["diverged"]
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info is None


@pytest.mark.parametrize("count", [0, -1, 1.5, "2"])
def test_a_number_of_steps_that_is_none(
    telemetry: Telemetry, memory: InMemoryExporter, caplog: pytest.LogCaptureFixture, count: Any
) -> None:
    """Is said once, and counts nothing; the loop goes on."""
    with telemetry.training_run("net") as run:
        for _ in range(2):
            run.step(count=count)
        run.step()
    assert memory.value("gangplank_train_steps_total") == 1
    assert len(caplog.records) == 1
    assert "count must be" in caplog.text


def test_no_mapping(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """Is no epoch less."""
    nothing: Any = None
    with telemetry.training_run("net") as run:
        run.epoch(nothing)
    with telemetry.evaluation_run("net") as evaluation:
        evaluation.report(nothing)
    assert memory.value("gangplank_train_epochs_count") == 1
    assert memory.value("gangplank_export_errors_total", error_type="TypeError") == 2


@pytest.mark.parametrize(
    ("model", "metrics", "error", "said"),
    [
        ("", None, ConfigurationError, "model must not be empty"),
        (None, None, TypeError, "model must be a string, not None"),
        ("net", "loss", TypeError, "metrics must be a list of metric names, not 'loss'"),
        ("net", ["loss", 3], TypeError, r"metrics\[1\] must be a string, not 3"),
    ],
)
def test_wrong_arguments(
    telemetry: Telemetry, memory: InMemoryExporter, model: Any, metrics: Any, error: type[Exception], said: str
) -> None:
    """Are said before anything begins."""
    for begin in (telemetry.training_run, telemetry.evaluation_run):
        with pytest.raises(error, match=said):
            begin(model, metrics=metrics)
    assert memory.series("gangplank_train_running") == []


def test_a_loop_starts_its_telemetry(memory: InMemoryExporter) -> None:
    """As the first run of a callback does."""
    telemetry = Telemetry(exporters=[memory])
    with telemetry.training_run("net"):
        assert memory.value("gangplank_train_running") == 1
    telemetry.close()

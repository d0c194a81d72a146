"""Runs as traces."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from traces import context_of, named, tree

from gangplank import Telemetry
from gangplank.inference import Inference
from gangplank.testing import InMemoryExporter, ManualClock

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def telemetry(provider: TracerProvider, clock: ManualClock, memory: InMemoryExporter) -> Iterator[Telemetry]:
    """A telemetry that makes spans."""
    with Telemetry(exporters=[memory], tracer_provider=provider, clock=clock) as telemetry:
        yield telemetry


def test_a_run_is_a_trace(telemetry: Telemetry, spans: InMemorySpanExporter, clock: ManualClock) -> None:
    """Its epochs are in it, validation in these, and an evaluation is one by itself."""
    with telemetry.training_run("net") as run:
        for number in (1, 2):
            run.begin_epoch(number)
            run.begin_validation()
            run.end_validation()
            run.epoch({"loss": 0.5})
            clock.advance(1)
    with telemetry.evaluation_run("net"):
        pass
    assert tree(spans) == [
        ("fit net", None),
        ("epoch", "fit net"),
        ("validation", "epoch"),
        ("epoch", "fit net"),
        ("validation", "epoch"),
        ("evaluate net", None),
    ]
    fit = named(spans, "fit net")
    assert dict(fit.attributes or {}) == {"gangplank.model": "net", "gangplank.outcome": "success"}
    assert fit.status.status_code is StatusCode.UNSET
    epochs = [span for span in spans.get_finished_spans() if span.name == "epoch"]
    assert [(span.attributes or {})["gangplank.epoch"] for span in epochs] == [1, 2]


def test_an_epoch_of_ones_own_loop_began_before_its_first_step_ended(
    telemetry: Telemetry, spans: InMemorySpanExporter, clock: ManualClock
) -> None:
    """The step that says so was part of it."""
    began = clock.time()
    with telemetry.training_run("net") as run:
        clock.advance(2)
        run.step()
        run.epoch({})
    assert named(spans, "epoch").start_time == pytest.approx(began * 1e9)


def test_what_is_done_in_a_run_is_in_its_trace(
    telemetry: Telemetry, provider: TracerProvider, spans: InMemorySpanExporter
) -> None:
    """A prediction, a span of the program's own; and a run is in that of its caller."""
    tracer = provider.get_tracer("the program's")
    inference = Inference(telemetry, "net")
    predict = inference.measured(
        len, "predict", is_call=False, sizes={int: lambda size: size}, is_trace=lambda _: False
    )
    with tracer.start_as_current_span("job"):
        with telemetry.training_run("net") as run:
            run.begin_epoch()
            predict([1, 2])
            run.epoch({})
            with tracer.start_as_current_span("save"):
                pass
        with tracer.start_as_current_span("after"):
            pass
    assert tree(spans) == [
        ("job", None),
        ("fit net", "job"),
        ("epoch", "fit net"),
        ("predict net", "epoch"),
        ("save", "fit net"),
        ("after", "job"),
    ]
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(ValueError("no"), "failed"), (KeyboardInterrupt(), "interrupted"), (SystemExit(3), "interrupted")],
)
def test_a_run_that_is_left_early(
    telemetry: Telemetry, spans: InMemorySpanExporter, error: BaseException, outcome: str
) -> None:
    """The error is on all spans that it passed through, and none stays open."""
    with pytest.raises(type(error)), telemetry.training_run("net") as run:  # noqa: PT012 - the block is what is tested
        run.begin_epoch()
        run.begin_validation()
        raise error
    assert [name for name, _ in tree(spans)] == ["fit net", "epoch", "validation"]
    for span in spans.get_finished_spans():
        assert span.status.status_code is StatusCode.ERROR
        assert (span.attributes or {})["error.type"] == type(error).__name__
        assert [event.name for event in span.events] == ["exception"]
    assert (named(spans, "fit net").attributes or {})["gangplank.outcome"] == outcome
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_run_that_diverged(telemetry: Telemetry, spans: InMemorySpanExporter) -> None:
    """Is an error without an exception."""
    with telemetry.training_run("net") as run:
        run.epoch({"loss": float("inf")})
    fit = named(spans, "fit net")
    assert (fit.status.status_code, fit.status.description) == (StatusCode.ERROR, "diverged")
    assert named(spans, "epoch").status.status_code is StatusCode.UNSET


def test_a_run_that_is_cut_off_by_another_thread(
    telemetry: Telemetry, spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """As by the end of the program: it is exported, and left when its own thread comes to its end."""
    with telemetry.training_run("net") as run:
        run.begin_epoch()
        closing = threading.Thread(target=telemetry.close)
        closing.start()
        closing.join()
        assert [name for name, _ in tree(spans)] == ["fit net", "epoch"]
    assert (named(spans, "fit net").attributes or {})["gangplank.outcome"] == "interrupted"
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert caplog.records == []


@pytest.mark.parametrize("parent", ["00-{}-{}-01", None, "nonsense", "00-" + "0" * 32 + "-{}-01"])
def test_the_environments_parent(
    provider: TracerProvider, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch, parent: str | None
) -> None:
    """Of a run that has none in its own process, if what the environment says is a parent at all."""
    if parent is not None:
        monkeypatch.setenv("TRACEPARENT", parent.format(TRACE, PARENT))
    with Telemetry(exporters=[InMemoryExporter()], tracer_provider=provider) as telemetry:
        with telemetry.training_run("net") as run:
            run.epoch({})
        with provider.get_tracer("the program's").start_as_current_span("job"), telemetry.evaluation_run("net"):
            pass
    fit, epoch, evaluation = (named(spans, name) for name in ("fit net", "epoch", "evaluate net"))
    is_given = parent == "00-{}-{}-01"
    assert (fit.parent is not None and fit.parent.span_id == int(PARENT, 16)) == is_given
    assert (context_of(fit).trace_id == int(TRACE, 16)) == is_given
    assert epoch.parent == context_of(fit)
    assert evaluation.parent == context_of(named(spans, "job"))


def test_runs_that_are_closed_together(telemetry: Telemetry, spans: InMemorySpanExporter) -> None:
    """From the innermost on, so that nothing of them stays current."""
    telemetry.training_run("outer").begin_epoch()
    telemetry.training_run("inner").begin_epoch()
    telemetry.close()
    assert len(spans.get_finished_spans()) == 4
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_tasks_of_an_event_loop(
    telemetry: Telemetry, provider: TracerProvider, spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Have contexts of their own, though they share a thread; who closes is in none of them."""

    async def train() -> None:
        with telemetry.training_run("net"):
            await asyncio.sleep(0)
            telemetry.close()

    async def both() -> None:
        await asyncio.gather(train(), train())
        assert trace.get_current_span() is trace.INVALID_SPAN

    asyncio.run(both())
    assert [span.name for span in spans.get_finished_spans()] == ["fit net"] * 2
    assert caplog.records == []


def test_the_programs_own_context_stays(
    provider: TracerProvider, monkeypatch: pytest.MonkeyPatch, spans: InMemorySpanExporter
) -> None:
    """Within a run whose parent the environment has; its baggage comes before the environment's."""
    monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-{PARENT}-01")
    monkeypatch.setenv("BAGGAGE", "team=environment")
    with Telemetry(exporters=[InMemoryExporter()], tracer_provider=provider) as telemetry:
        with telemetry.training_run("net"):
            assert baggage.get_baggage("team") == "environment"
        token = context.attach(baggage.set_baggage("team", "program", context.set_value("key", 3)))
        with telemetry.training_run("net"):
            assert baggage.get_baggage("team") == "program"
            assert context.get_value("key") == 3
        context.detach(token)
    assert {context_of(span).trace_id for span in spans.get_finished_spans()} == {int(TRACE, 16)}


def test_nobody_traces(clock: ManualClock, memory: InMemoryExporter) -> None:
    """Nothing is made, nothing is current."""
    with Telemetry(exporters=[memory], clock=clock) as telemetry, telemetry.training_run("net") as run:
        run.begin_epoch()
        assert trace.get_current_span() is trace.INVALID_SPAN
        run.epoch({})
    assert memory.value("gangplank_train_epochs_count") == 1

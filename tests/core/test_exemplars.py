"""Exemplars: from a bucket of a histogram to a trace of one of its calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest
from calls import BATCH_SIZE, DURATION, echo, measured
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gangplank import PrometheusExporter, Telemetry
from gangplank.inference import Inference
from gangplank.testing import ManualClock

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


class Served:
    """A model that takes as long as it is told, and what a scrape shows of it.

    Args:
        telemetry: Where it reports.
        clock: What moves meanwhile.
    """

    def __init__(self, telemetry: Telemetry, clock: ManualClock) -> None:
        self._clock = clock
        self.call = measured(Inference(telemetry, "net"), self._predict)
        self._url = telemetry.attach(PrometheusExporter(port=0)).url

    def _predict(self, seconds: float, error: Exception | None = None) -> list[int]:
        self._clock.advance(seconds)
        if error is not None:
            raise error
        return [0, 1, 2]

    def text(self, accept: str) -> str:
        """Scrape."""
        with urlopen(Request(self._url, headers={"Accept": accept}), timeout=10) as reply:
            return str(reply.read().decode())

    def exemplars(self, histogram: str = DURATION) -> dict[tuple[str, str], Any]:
        """Scrape, and return the exemplars of a histogram by error type and bound."""
        return {
            (sample.labels.get("error_type", ""), sample.labels["le"]): sample.exemplar
            for family in parse_openmetrics(self.text(OPENMETRICS))
            for sample in family.samples
            if sample.name == f"{histogram}_bucket" and sample.exemplar
        }


@pytest.fixture
def served(provider: TracerProvider, clock: ManualClock) -> Iterator[Served]:
    """A model whose calls are spans."""
    with Telemetry(tracer_provider=provider, clock=clock) as telemetry:
        yield Served(telemetry, clock)


def ids(spans: InMemorySpanExporter) -> list[dict[str, str]]:
    """Return the identity of each finished span, as an exemplar has it."""
    contexts = [span.get_span_context() for span in spans.get_finished_spans()]
    return [
        {"trace_id": trace.format_trace_id(context.trace_id), "span_id": trace.format_span_id(context.span_id)}
        for context in contexts
        if context is not None
    ]


def test_a_scrape_points_to_the_span_of_a_call(served: Served, spans: InMemorySpanExporter, clock: ManualClock) -> None:
    """In the bucket of its duration, with the duration itself and the time."""
    served.call(0.25)
    [identity] = ids(spans)
    labels = f'span_id="{identity["span_id"]}",trace_id="{identity["trace_id"]}"'
    assert f"# {{{labels}}} 0.25 {clock.time()}\n" in served.text(OPENMETRICS)
    exemplars = served.exemplars()
    assert set(exemplars) == {("", "0.25")}
    [exemplar] = exemplars.values()
    assert (exemplar.labels, exemplar.value, float(exemplar.timestamp)) == (identity, 0.25, clock.time())


def test_plain_text_has_none(served: Served) -> None:
    """It has no form for them: a parser would stumble."""
    served.call(0.25)
    text = served.text("text/plain")
    assert "trace_id" not in text
    samples = {sample.name: sample for family in parse_text(text) for sample in family.samples}
    assert samples[f"{DURATION}_count"].value == 1


def test_each_bucket_points_to_its_last_call(served: Served, spans: InMemorySpanExporter) -> None:
    """Of many slow calls the latest, and a slow one among fast ones is not lost."""
    for seconds in (0.25, 4.0, 0.25, 0.25):
        served.call(seconds)
    identities = ids(spans)
    shown = {bound: exemplar.labels for (_, bound), exemplar in served.exemplars().items()}
    assert shown == {"0.25": identities[3], "5.0": identities[1]}


def test_a_failed_call_is_an_example_of_its_error(served: Served, spans: InMemorySpanExporter) -> None:
    """That is where one wants to look first."""
    for error in (LookupError(), ArithmeticError()):
        with pytest.raises(type(error)):
            served.call(0.25, error)
    looked, calculated = ids(spans)
    shown = {key: exemplar.labels for key, exemplar in served.exemplars().items()}
    assert shown == {("LookupError", "0.25"): looked, ("ArithmeticError", "0.25"): calculated}


def test_sizes_have_examples_too(served: Served, spans: InMemorySpanExporter) -> None:
    """Which request was it that had so many samples?"""
    served.call(0.25)
    [exemplar] = served.exemplars(BATCH_SIZE).values()
    assert (exemplar.labels, exemplar.value) == (ids(spans)[0], 3)


def test_a_span_that_is_not_sampled_is_no_example(clock: ManualClock) -> None:
    """It would lead to a trace that nobody has."""
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    with Telemetry(tracer_provider=provider, clock=clock) as telemetry:
        served = Served(telemetry, clock)
        served.call(0.25)
        assert served.exemplars() == {}
        assert f'{DURATION}_count{{error_type="",method="predict",model="net"}} 1.0' in served.text(OPENMETRICS)


def test_an_example_stands_until_there_is_a_newer_one(provider: TracerProvider, clock: ManualClock) -> None:
    """Calls that are not sampled take none away: with one in a thousand sampled, there would hardly be any."""
    unsampled = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("the host's")
    with Telemetry(tracer_provider=provider, clock=clock) as telemetry:
        served = Served(telemetry, clock)
        served.call(0.25)
        before = served.exemplars()
        with unsampled.start_as_current_span("request"):
            served.call(0.25)
        assert served.exemplars() == before != {}


def test_without_spans_there_are_none(clock: ManualClock) -> None:
    """OpenMetrics is what it is without."""
    with Telemetry(clock=clock) as telemetry:
        served = Served(telemetry, clock)
        served.call(0.25)
        assert "# {" not in served.text(OPENMETRICS)


def points(reader: InMemoryMetricReader, name: str) -> list[HistogramDataPoint]:
    """Collect, and return the points of a histogram."""
    data = reader.get_metrics_data()
    return [
        point
        for resource in (data.resource_metrics if data else [])
        for scope in resource.scope_metrics
        for found in scope.metrics
        if found.name == name
        for point in found.data.data_points
        if isinstance(point, HistogramDataPoint)
    ]


def test_a_provider_of_metrics_gets_them_too(
    provider: TracerProvider, spans: InMemorySpanExporter, clock: ManualClock
) -> None:
    """In its own histogram, from its own look at the current span: what OTLP exports agrees with a scrape."""
    reader = InMemoryMetricReader()
    metrics = MeterProvider([reader], shutdown_on_exit=False)
    with Telemetry(meter_provider=metrics, tracer_provider=provider, clock=clock) as telemetry:
        served = Served(telemetry, clock)
        for seconds in (0.25, 0.25, 4.0):
            served.call(seconds)
        with pytest.raises(LookupError):
            served.call(0.25, LookupError())
        shown = {key: exemplar.labels for key, exemplar in served.exemplars().items()}
    found = points(reader, "gangplank_predict_duration")
    assert {(point.attributes or {}).get("error_type", ""): (point.count, point.sum) for point in found} == {
        "": (3, 4.5),
        "LookupError": (1, 0.25),
    }
    exported = {
        (trace.format_trace_id(exemplar.trace_id or 0), trace.format_span_id(exemplar.span_id or 0))
        for point in found
        for exemplar in point.exemplars
    }
    assert exported == {(labels["trace_id"], labels["span_id"]) for labels in shown.values()}
    _, *identities = ids(spans)
    assert exported == {(identity["trace_id"], identity["span_id"]) for identity in identities}
    [sizes] = points(reader, "gangplank_predict_batch_size")
    assert (sizes.count, sizes.sum) == (3, 9)
    metrics.shutdown()


def test_a_provider_of_metrics_without_one_of_traces(clock: ManualClock) -> None:
    """Counts are complete, and point nowhere."""
    reader = InMemoryMetricReader()
    metrics = MeterProvider([reader], shutdown_on_exit=False)
    with Telemetry(meter_provider=metrics, clock=clock) as telemetry:
        call = measured(Inference(telemetry, "net"), echo)
        for _ in range(5):
            call([1])
    [point] = points(reader, "gangplank_predict_duration")
    assert (point.count, list(point.exemplars)) == (5, [])
    metrics.shutdown()

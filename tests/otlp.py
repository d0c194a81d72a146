"""An OTLP receiver of metrics, by HTTP and by gRPC, and what it received in Prometheus's terms."""

from __future__ import annotations

import gzip
import itertools
import math
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as service
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, NumberDataPoint

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""Samples by name and labels, as Prometheus has them."""


class Receiver:
    """Takes what exporters send.

    Attributes:
        endpoint: What to give to an exporter.
        requests: What they sent, in order.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.requests: list[ExportMetricsServiceRequest] = []
        self.refuses = False

    def take(self, request: ExportMetricsServiceRequest) -> None:
        """Keep a request."""
        self.requests.append(request)

    def metrics(self) -> dict[str, Metric]:
        """Return the metrics of the last request by their names, of which each is there once."""
        found = list(_metrics(self.requests[-1]))
        by_name = {metric.name: metric for metric in found}
        assert len(by_name) == len(found), [metric.name for metric in found]
        return by_name

    def values(self) -> Values:
        """Return the last request as Prometheus would have it."""
        pairs = [pair for metric in self.metrics().values() for pair in _samples(metric)]
        values = dict(pairs)
        assert len(values) == len(pairs), "a series is there twice"
        return values


def _metrics(request: ExportMetricsServiceRequest) -> Iterator[Metric]:
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            yield from scope.metrics


def labels_of(attributes: Iterable[KeyValue]) -> frozenset[tuple[str, str]]:
    """Return attributes, which are all text, as labels."""
    return frozenset((each.key, each.value.string_value) for each in attributes)


def _samples(metric: Metric) -> Iterator[tuple[tuple[str, frozenset[tuple[str, str]]], float]]:
    name = metric.name + ("_seconds" if metric.unit == "s" else "")
    kind = metric.WhichOneof("data")
    if kind == "histogram":
        for point in metric.histogram.data_points:
            yield from _of_histogram(name, point)
        return
    assert kind in ("gauge", "sum"), metric
    numbers: Iterable[NumberDataPoint] = metric.gauge.data_points or metric.sum.data_points
    for number in numbers:
        value = number.as_double if number.WhichOneof("value") == "as_double" else number.as_int
        yield (name + "_total" * (kind == "sum"), bounded(labels_of(number.attributes))), value


def _of_histogram(
    name: str, point: HistogramDataPoint
) -> Iterator[tuple[tuple[str, frozenset[tuple[str, str]]], float]]:
    labels = labels_of(point.attributes)
    cumulative = itertools.accumulate(point.bucket_counts)
    for bound, count in zip((*point.explicit_bounds, math.inf), cumulative, strict=True):
        yield (f"{name}_bucket", labels | {("le", str(float(bound)))}), count
    yield (f"{name}_count", labels), point.count
    yield (f"{name}_sum", labels), point.sum


def bounded(labels: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Return labels with bounds written in one way: a gateway writes 0.0 as 0."""
    return frozenset((key, str(float(value)) if key == "le" else value) for key, value in labels)


@contextmanager
def over_http() -> Iterator[Receiver]:
    """Receive by HTTP on a free loopback port until the block ends."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            is_known = self.path == "/v1/metrics" and self.headers["Content-Type"] == "application/x-protobuf"
            if is_known and not receiver.refuses:
                receiver.take(ExportMetricsServiceRequest.FromString(body))
            reply = ExportMetricsServiceResponse().SerializeToString()
            self.send_response(400 if receiver.refuses or not is_known else 200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.endpoint = f"http://127.0.0.1:{server.server_port}/v1/metrics"
        serving = threading.Thread(target=server.serve_forever, args=(0.02,))
        serving.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            serving.join()


@contextmanager
def over_grpc() -> Iterator[Receiver]:
    """Receive by gRPC on a free loopback port until the block ends."""
    receiver = Receiver()

    class Servicer(service.MetricsServiceServicer):
        def Export(  # noqa: N802 - as the protocol has it
            self, request: ExportMetricsServiceRequest, context: grpc.ServicerContext
        ) -> ExportMetricsServiceResponse:
            if receiver.refuses:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "as asked")
            receiver.take(request)
            return ExportMetricsServiceResponse()

    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        service.add_MetricsServiceServicer_to_server(Servicer(), server)  # type: ignore[no-untyped-call]
        receiver.endpoint = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield receiver
        finally:
            server.stop(None).wait()

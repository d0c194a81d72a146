"""Takes metrics by OTLP over HTTP, as a Collector would, and prints what is new of Gangplank's, until Ctrl-C."""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

MOST = 1 << 24


class Receiver(BaseHTTPRequestHandler):
    """Answers exporters."""

    shown: dict[str, str] = {}  # noqa: RUF012 - what has been printed, whoever asks

    def do_POST(self) -> None:
        """Print gauges and sums that have changed, histograms by their counts."""
        length = int(self.headers.get("Content-Length", "0"))
        if self.path != "/v1/metrics" or length > MOST:
            self.send_error(404 if length <= MOST else 413)
            return
        body = self.rfile.read(length)
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for series, value in _points(ExportMetricsServiceRequest.FromString(body)):
            if self.shown.get(series) != value:
                print(series, value, flush=True)
            self.shown[series] = value
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""


def _points(request: ExportMetricsServiceRequest) -> Iterator[tuple[str, str]]:
    for resource in request.resource_metrics:
        who = next((one.value.string_value for one in resource.resource.attributes if one.key == "service.name"), "")
        metrics = [metric for scope in resource.scope_metrics for metric in scope.metrics]
        for metric in metrics:
            if not metric.name.startswith("gangplank_"):
                continue
            for point in (*metric.gauge.data_points, *metric.sum.data_points, *metric.histogram.data_points):
                labels = ", ".join(f"{one.key}={one.value.string_value!r}" for one in point.attributes)
                value = getattr(point, "count", None)
                if value is None:
                    value = getattr(point, str(point.WhichOneof("value")))
                yield f"{who}: {metric.name}{{{labels}}}", f"{value:g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=4318, help="port to listen at, on loopback (%(default)s)")
    options = parser.parse_args()
    with HTTPServer(("127.0.0.1", options.port), Receiver) as server:
        print(f"Give exporters OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()

"""Trains the network and reads digits in a program that has a MeterProvider, and metrics, of its own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client import start_http_server

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import convnet
import digits

import gangplank

IMAGES = 101


def main() -> None:
    """Set up telemetry as the program always did, then train and predict."""
    options = _options()
    provider = MeterProvider([PrometheusMetricReader()], resource=Resource.create({"service.name": "digits"}))
    metrics.set_meter_provider(provider)
    try:
        server, thread = start_http_server(options.port, "127.0.0.1")
    except OSError as error:
        sys.exit(f"cannot serve metrics at port {options.port}: {error}")
    read = metrics.get_meter("digits").create_counter("digits_read", description="Images that the program has read.")
    (x_train, y_train), (x_test, _), source = digits.load(small=options.fast)
    print(f"Metrics: http://127.0.0.1:{options.port}/metrics\nTraining on {source}")

    network = convnet.build()
    callback = gangplank.TelemetryCallback()  # no exporter: the provider's
    epochs = options.epochs or (3 if options.fast else 10)
    network.fit(x_train, y_train, batch_size=32, epochs=epochs, validation_split=0.1, verbose=2, callbacks=[callback])
    model = gangplank.TelemetryModel(network)
    model.predict(x_test[:IMAGES], verbose=0)
    read.add(IMAGES)
    print(f"{IMAGES} images were read.")
    if sys.stdin.isatty() and sys.stdout.isatty():
        _stay()
    server.shutdown()
    thread.join()
    provider.shutdown()


def _stay() -> None:
    print("Still serving until you press Enter or Ctrl-C.")
    try:
        input()
    except (EOFError, KeyboardInterrupt):
        print()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8561, help="port to serve the metrics at (%(default)s)")
    parser.add_argument("--epochs", type=int, help="how often to go through the images (10; with --fast 3)")
    parser.add_argument("--fast", action="store_true", help="use the small set of digits, and train briefly")
    return parser.parse_args()


if __name__ == "__main__":
    main()

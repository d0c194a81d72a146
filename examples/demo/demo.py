"""Trains a network on handwritten digits while its metrics are served to Prometheus, and shows what was measured."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import report
from rich.console import Console

import gangplank
from gangplank.exporters.scrape import Scrape

INTERRUPTED = 130
WIDTH_OF_A_FILE = 130
NAP = 3600


def main() -> int:
    """Run the demo and return its exit status."""
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE, highlight=False)
    try:
        with gangplank.Telemetry() as telemetry:
            server = _serve(telemetry, options.port)
            _train(telemetry, server, options.epochs)
            print(f"\nRead back from {server.url}:")
            report.show(console, server.url)
            if sys.stdin.isatty() and sys.stdout.isatty():
                _stay(server)
    except KeyboardInterrupt:
        print("\nInterrupted before it was done.")
        return INTERRUPTED
    return 0


def _serve(telemetry: gangplank.Telemetry, port: int) -> Scrape:
    try:
        return telemetry.attach(gangplank.PrometheusExporter(port=port))
    except gangplank.ServerStartError:
        return telemetry.attach(gangplank.PrometheusExporter(port=0))


def _train(telemetry: gangplank.Telemetry, server: Scrape, epochs: int) -> None:
    print("Starting Keras ...", flush=True)
    with _quiet():
        import convnet  # noqa: PLC0415 - takes seconds, in which Ctrl-C must find someone to catch it
        import digits  # noqa: PLC0415
        import keras  # noqa: PLC0415
    (x_train, y_train), (x_test, y_test), source = digits.load(small=True)
    model = convnet.build()
    telemetry_callback = gangplank.TelemetryCallback(telemetry, weights=gangplank.Weights(every_n_epochs=1))
    verbose = 1 if sys.stdout.isatty() else 2  # a progress bar, or a line for each epoch
    print(f"Keras {keras.__version__} on {keras.backend.backend()}; training on {source}.")
    print(f"Metrics, live: {server.url}")
    print(f"Charts, live, in a browser: {server.url.removesuffix('metrics')}")
    print(f"Charts, live, in another terminal: gangplank watch {server.url}\n", flush=True)
    model.fit(
        x_train,
        y_train,
        batch_size=32,
        epochs=epochs,
        validation_split=0.1,
        verbose=verbose,
        callbacks=[telemetry_callback],
    )
    print("\nEvaluating on the digits held out")
    model.evaluate(x_test, y_test, verbose=verbose, callbacks=[telemetry_callback])


def _stay(server: Scrape) -> None:
    print(f"\nStill serving {server.url} until you press Ctrl-C.")
    try:
        while True:
            time.sleep(NAP)
    except KeyboardInterrupt:
        print("\nStopped.")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep from the terminal what native code writes to standard error, unless an exception makes it interesting.

    TensorFlow greets with lines that no setting turns off, since it writes them before it reads any.
    """
    with tempfile.TemporaryFile() as kept:
        terminal = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except Exception:
            kept.seek(0)
            os.write(terminal, kept.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=12, help="how often to go through the images (%(default)s)")
    parser.add_argument("--port", type=int, default=9464, help="port to serve at; another if taken (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

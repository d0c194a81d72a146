"""What a push costs the training: the end of an epoch, with the gateway up, slow and silent, beside gangplank 0.5.0.

Run it as ``python benchmarks/push_overhead.py``; README.md beside it says how to read what it prints.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import IO, Any, cast

import keras
import predecessor

from gangplank import TrainTestExporter

# In a process of its own, as a gateway is. It answers after so many seconds; of "silent" ones there is no end.
GATEWAY = """
import sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(float(sys.argv[1]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_PUT

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
"""
LOGS = {"accuracy": 0.5, "loss": 0.25, "val_accuracy": 0.5, "val_loss": 0.25}
PAUSE = 0.02
"""Seconds between epochs, not measured: with none, the first push would see them all."""


def gateways(options: argparse.Namespace) -> list[tuple[str, float, int]]:
    """Return what gateways there are: their names, the seconds that they take, and how many epochs 0.5.0 can bear."""
    slow, epochs = (0.1, 2) if options.quick else (2.0, 3)
    kinds = [("up", 0.0, options.epochs), (f"slow ({slow:g} s)", slow, epochs)]
    return kinds if options.quick else [*kinds, ("silent", 3600.0, 2)]


@contextmanager
def gateway(seconds: float) -> Iterator[str]:
    """Run a gateway that answers after so many seconds, and give its address."""
    command = [sys.executable, "-c", GATEWAY, str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        yield f"127.0.0.1:{cast('IO[str]', process.stdout).readline().strip()}"
        process.kill()


def epoch_ends(callback: Any, epochs: int) -> list[float]:  # noqa: ANN401 - either of two callbacks
    """Return the seconds that the hook of each epoch's end takes, called without Keras between."""
    callback.set_model(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="net"))
    callback.on_train_begin({})
    taken = []
    for epoch in range(epochs):
        time.sleep(PAUSE)
        began = perf_counter()
        callback.on_epoch_end(epoch, dict(LOGS))
        taken.append(perf_counter() - began)
    return taken


def ours(address: str, epochs: int) -> list[float]:
    """Measure the exporter, and close what it started."""
    callback = TrainTestExporter(address, "benchmark")
    taken = epoch_ends(callback, epochs)
    callback.on_train_end({})
    callback.telemetry.close(0.1)
    return taken


def row(gateway: str, name: str, seconds: list[float], baseline: float) -> str:
    """Return a line of the table."""
    middle, most = statistics.median(seconds), max(seconds)
    cells = (gateway, name, len(seconds), f"{middle * 1e3:.3f}", f"{most * 1e3:.3f}", f"1/{baseline / middle:,.0f}")
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=300, help="epochs of a run (default: 300)")
    parser.add_argument("--quick", action="store_true", help="only see that it works: the numbers mean nothing")
    parser.add_argument("--predecessor", type=Path, metavar="FOLDER", help="has gangplank 0.5.0 (default: from PyPI)")
    options = parser.parse_args()
    options.epochs = 10 if options.quick else options.epochs
    older: Callable[..., Any] = predecessor.load("train_test_exporter", options.predecessor).TrainTestExporter
    print(f"python {platform.python_version()}, keras {keras.__version__} on {keras.backend.backend()}, ", end="")
    print(f"gangplank {version('gangplank')}, load {os.getloadavg()}\n")
    print("| gateway | exporter | epochs | median ms | most ms | of 0.5.0's median |\n|---|---|---:|---:|---:|---:|")
    for name, seconds, bearable in gateways(options):
        with gateway(seconds) as address:
            before = epoch_ends(older(address, "benchmark"), bearable)
            baseline = statistics.median(before)
            print(row(name, predecessor.NAME, before, baseline))
            print(row(name, "TrainTestExporter", ours(address, options.epochs), baseline), flush=True)


if __name__ == "__main__":
    main()

"""Evaluates the trained network on digits it has not seen, and sends the result to a Pushgateway."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

import keras
from prometheus_client.exposition import basic_auth_handler

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import convnet
import digits

import gangplank

PushHandler = Callable[[str, str, float | None, list[tuple[str, str]], bytes], Callable[[], None]]


def main() -> None:
    """Evaluate the saved model."""
    options = _options()
    if not convnet.SAVED.is_file():
        sys.exit(f"{os.path.relpath(convnet.SAVED)} is not there: run train/train.py first")
    model = keras.saving.load_model(convnet.SAVED)
    _, (x_test, y_test), source = digits.load(small=options.fast)
    print(f"Evaluating on {source}")
    exporter = gangplank.TrainTestExporter(
        options.gateway,
        "mnist",
        histogram_buckets=gangplank.HISTOGRAM_WEIGHT_BUCKETS_0_3,
        handler=_handler(),
        ignore_exceptions=not options.strict,
    )
    model.evaluate(x_test, y_test, callbacks=[exporter])


def _handler() -> PushHandler | None:
    """Return a handler that logs in, if the environment says as whom."""
    user = os.environ.get("PUSHGATEWAY_USER")
    if not user:
        return None
    password = os.environ.get("PUSHGATEWAY_PASSWORD", "")

    def log_in(
        url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
    ) -> Callable[[], None]:
        return basic_auth_handler(url, method, timeout, headers, data, user, password)

    return log_in


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="If PUSHGATEWAY_USER and PUSHGATEWAY_PASSWORD are set, they are sent as basic authentication.",
    )
    parser.add_argument("--gateway", default="127.0.0.1:9091", help="the Pushgateway (%(default)s)")
    parser.add_argument("--fast", action="store_true", help="use the small set of digits, as train.py --fast does")
    parser.add_argument("--strict", action="store_true", help="fail if the gateway does not take the metrics")
    return parser.parse_args()


if __name__ == "__main__":
    main()

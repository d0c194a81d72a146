"""Sends handwritten digits to the app, several at once, and counts those that it recognises."""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import Request, urlopen

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import digits


def main() -> None:
    """Send the digits."""
    options = _options()
    _, (images, labels), source = digits.load(small=options.fast)
    print(f"Sending {options.requests:,} images of {source}")

    def is_recognised(number: int) -> bool:
        image, label = images[number % len(images)], labels[number % len(labels)]
        return _digit(options.url, image.squeeze().tolist()) == label.argmax()

    with ThreadPoolExecutor(options.threads) as pool:
        recognised = sum(pool.map(is_recognised, range(options.requests)))
    print(f"{recognised:,} were recognised")


def _digit(url: str, pixels: list[list[float]]) -> int:
    request = Request(url, json.dumps({"pixels": pixels}).encode(), {"Content-Type": "application/json"})  # noqa: S310
    with urlopen(request, timeout=60) as reply:  # noqa: S310 - the user's own argument
        return int(json.load(reply)["digit"])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000/predict", help="where the app is (%(default)s)")
    parser.add_argument("--requests", type=int, default=1000, help="how many images to send (%(default)s)")
    parser.add_argument("--threads", type=int, default=8, help="how many to send at once (%(default)s)")
    parser.add_argument("--fast", action="store_true", help="use the small set of digits, as train.py --fast does")
    return parser.parse_args()


if __name__ == "__main__":
    main()

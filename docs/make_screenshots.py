"""Makes docs/images/page-*.png: trains and uses the examples' network, and looks at its page in Debian's Chromium.

``python docs/make_screenshots.py`` takes a minute. It needs the extras of the examples, a backend, and playwright.
"""

# ruff: noqa: ANN401, E402 - Keras is untyped, and asks for its backend when it is imported
from __future__ import annotations

import itertools
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "examples"))
os.environ.setdefault("KERAS_BACKEND", "jax")

import convnet
import digits
import numpy as np
from playwright.sync_api import Browser, sync_playwright

import gangplank

IMAGES = ROOT / "docs" / "images"
EPOCHS = 10
TRAINED_WITH = 960
SECONDS = 20
TALL = {"width": 1280, "height": 1150}
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
WITHHELD = 0


def main() -> None:
    """Make all images."""
    IMAGES.mkdir(exist_ok=True)
    (images, labels), (x_test, y_test), _ = digits.load(small=True)
    x, y = images[:TRAINED_WITH], labels[:TRAINED_WITH]
    with gangplank.Telemetry() as telemetry, sync_playwright() as playwright:
        server = telemetry.attach(gangplank.PrometheusExporter(port=0))
        url = server.url.removesuffix("metrics")
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        model = _train(telemetry, x, y)
        _shoot(browser, url, "page-training", "light", WIDE, "training")
        served = _serve(telemetry, model, (images, x_test, y_test))
        _shoot(browser, url, "page-serving", "dark", TALL, "inference")
        del served  # until then its readings are shown
        _shoot(browser, url, "page-phone", "light", PHONE, "training")
        browser.close()


def _train(telemetry: gangplank.Telemetry, x: Any, y: Any) -> Any:
    weights = gangplank.Weights(histogram_buckets="auto", every_n_epochs=1)
    callback = gangplank.TelemetryCallback(telemetry, weights=weights)
    model = convnet.build()
    model.fit(x, y, epochs=EPOCHS, batch_size=64, validation_split=0.1, verbose=2, callbacks=[callback])
    return model


def _serve(telemetry: gangplank.Telemetry, model: Any, data: tuple[Any, Any, Any]) -> Any:
    """Predict for a while, in the second half of which one digit no longer comes."""
    x, x_test, y_test = data
    detector = gangplank.ClassDrift(model.predict(x, verbose=0).argmax(axis=1), ert=2000, window=70, seed=0)
    served = gangplank.TelemetryModel(model, telemetry, drift={"mix of digits": detector})
    random, end = np.random.default_rng(0), time.monotonic() + SECONDS
    left = x_test[y_test.argmax(axis=1) != WITHHELD]
    for number in itertools.count():
        now = time.monotonic()
        if now >= end:
            break
        images = x_test if now < end - SECONDS / 2 else left
        size = int(random.integers(1, 9))
        served.predict_on_batch(images[random.choice(len(images), size)])
        if number % 40 == 39:  # noqa: PLR2004 - now and then
            _fail(served)
        time.sleep(float(random.exponential(0.03)))
    return served


def _fail(served: Any) -> None:
    try:
        served.predict_on_batch(np.zeros((1, 3, 3, 1), "float32"))
    except Exception as error:  # noqa: BLE001 - whatever the backend says to that
        print(type(error).__name__)  # noqa: T201


def _shoot(browser: Browser, url: str, name: str, theme: Any, size: Any, section: str) -> None:
    context = browser.new_context(viewport=size, color_scheme=theme, reduced_motion="reduce")
    page = context.new_page()
    page.goto(url)
    page.locator(f'[data-section="{section}"] .dot').first.wait_for()
    page.locator(f'[data-section="{section}"]').scroll_into_view_if_needed()
    if section == "inference":
        page.evaluate("document.querySelector('[data-section=inference]').scrollIntoView()")
    page.screenshot(path=IMAGES / f"{name}.png")
    context.close()


if __name__ == "__main__":
    main()

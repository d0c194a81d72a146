"""The page in a real Chromium, of a program that trains and predicts with Keras."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import browser
import needs
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from realservers import get

from gangplank import PrometheusExporter, Telemetry, summarize_weights

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

SCRIPT = Path(__file__).parent / "scripts" / "looked_at.py"
HOSTILE = "<img src=x onerror=alert(1)>"
TEAM = "team=<b>vision</b>"
PHONE = {"width": 360, "height": 740}
LEAST_CONTRAST = 4.5

CONTRAST = """() => {
    const parts = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
    const light = (text) => parts(text).map((one) => one / 255)
        .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
        .reduce((sum, one, index) => sum + one * [0.2126, 0.7152, 0.0722][index], 0);
    const ground = (element) => {
        const own = getComputedStyle(element).backgroundColor;
        return own === 'rgba(0, 0, 0, 0)' ? ground(element.parentElement) : own;
    };
    const found = [];
    const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (words.nextNode()) {
        const element = words.currentNode.parentElement;
        if (!words.currentNode.textContent.trim() || !element.getClientRects().length) continue;
        const style = getComputedStyle(element);
        const colour = element instanceof SVGElement ? style.fill : style.color;
        const [one, other] = [light(colour), light(ground(element))].sort((a, b) => b - a);
        found.push([(one + 0.05) / (other + 0.05), words.currentNode.textContent]);
    }
    return found.sort((a, b) => a[0] - b[0])[0];
}"""


class Program:
    """A program to be looked at."""

    def __init__(self) -> None:
        environment = {**os.environ, "KERAS_BACKEND": "jax"}
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.metrics: str = self._answer()["url"]
        self.url = self.metrics.removesuffix("metrics")
        self.kept: dict[str, Any] = {}

    def tell(self, command: str) -> Any:
        """Have it do something, and return what it answers."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._answer()

    def value(self, name: str, **labels: str) -> float:
        """Return the value of the one series that a scrape has under that name with these labels."""
        [found] = [
            sample.value
            for family in text_string_to_metric_families(get(self.metrics))
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return float(found)

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser."""
    with browser.chromium() as running:
        yield running


@pytest.fixture(scope="module")
def program(chromium: Browser) -> Iterator[Program]:
    """A program in which a model was trained, evaluated and used, and another one has diverged."""
    needs.module("jax")
    needs.module("keras")
    program = Program()
    try:
        program.kept = {one: program.tell(one) for one in ("fit", "evaluate", "diverge", "predict")}
        yield program
    finally:
        program.close()


@pytest.fixture
def tab(chromium: Browser, program: Program) -> Iterator[Page]:
    """A tab that was opened when all that was over."""
    with browser.page(chromium) as tab:
        yield opened(tab, program, "net")


def opened(tab: Page, program: Program, model: str) -> Page:
    """Open the page of a model."""
    tab.goto(program.url)
    tab.locator("#model").select_option(f"{model} ({TEAM})")
    tab.locator("h2", has_text=model).first.wait_for()
    tab.locator("svg.plot .dot").first.wait_for()
    return tab


def chart(tab: Page, title: str) -> Locator:
    """Return a chart."""
    return tab.locator(f'[data-chart="{title}"]')


def values(tab: Page, title: str) -> dict[str, list[str]]:
    """Return the columns of the table behind a chart, oldest first."""
    details = chart(tab, title).locator("details")
    if details.get_attribute("open") is None:
        details.locator("summary").click()
    details.locator("tbody tr").first.wait_for()
    heads = details.locator("thead th").all_inner_texts()
    cells = details.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.innerText))"
    )
    return {head: [row[index] for row in reversed(cells)] for index, head in enumerate(heads)}


def tiles(tab: Page, section: str) -> dict[str, str]:
    """Return the numbers of a section."""
    part = tab.locator(f'[data-section="{section}"]')
    read = "cells => cells.map(cell => [...cell.children].map(child => child.innerText))"
    return dict(part.locator("dl > div").evaluate_all(read))


def numbers(texts: list[str]) -> list[float]:
    """Return texts as numbers."""
    return [float(text) for text in texts]


def test_the_charts_hold_each_epochs_values(tab: Page, program: Program) -> None:
    """One point an epoch though epochs take milliseconds; the last ones are those that a scrape has."""
    history = program.kept["fit"]
    for title in ("loss", "mae"):
        table = values(tab, title)
        assert table["Epoch"] == ["1", "2", "3", "4", "5", "6"]
        assert numbers(table["training"]) == numbers(history[title])
        assert numbers(table["validation"]) == numbers(history[f"val_{title}"])
        assert float(table["training"][-1]) == program.value(f"gangplank_train_{title}", model="net")
    rate = program.value("gangplank_train_learning_rate", model="net")
    assert numbers(values(tab, "Learning rate")["learning rate"]) == [rate] * 6
    assert len(values(tab, "Step time")["mean"]) >= 6  # and one more for each second of an epoch


def test_what_is_said_of_a_run(tab: Page, program: Program) -> None:
    """In words, and in numbers."""
    assert tab.locator('[data-section="training"] .state').inner_text() == "Done"
    said = tiles(tab, "training")
    assert said["Epochs"] == "6 of 6"
    assert said["Steps"] == f"{program.value('gangplank_train_steps_total', model='net'):.0f}"
    assert said["Parameters"] == "41"
    assert "backend jax" in tab.locator(".name").inner_text()
    assert float(tiles(tab, "evaluation")["loss"]) == pytest.approx(program.value("gangplank_test_loss"), rel=1e-3)
    assert tab.title().startswith("net")


def test_weights_over_epochs(tab: Page) -> None:
    """A column a reading, drawn; its table has all weights."""
    weights = chart(tab, "Distribution of the weights")
    drawn = "plot => plot.getContext('2d').getImageData(0, 0, plot.width, plot.height).data.some(Boolean)"
    assert weights.locator("canvas").evaluate(drawn)
    counts = values(tab, "Distribution of the weights")["Epoch 6"]
    assert sum(numbers(counts)) == 41
    weights.locator("canvas").focus()
    tab.keyboard.press("ArrowLeft")
    assert "Epoch 6" in weights.locator(".tip").inner_text()


def test_a_loss_that_is_not_finite_is_seen(tab: Page, program: Program) -> None:
    """In words, in the chart and in its table, while the scrape has no such series."""
    opened(tab, program, HOSTILE)
    history = program.kept["diverge"]["loss"]
    assert {"inf", "nan"} & set(history)
    state = tab.locator('[data-section="training"] .state')
    assert state.inner_text().startswith("Diverged: its loss is")
    shown = values(tab, "loss")["training"]
    assert [{"NaN": "nan", "Infinity": "inf"}.get(one, str(float(one))) for one in shown] == history
    assert chart(tab, "loss").locator(".lost").count() > 0


def test_names_from_outside_are_only_text(tab: Page, program: Program) -> None:
    """A model's name and labels that would like to be HTML are shown as they are."""
    opened(tab, program, HOSTILE)
    assert tab.locator(".name h2").inner_text() == HOSTILE
    assert "<b>vision</b>" in tab.locator(".name").inner_text()
    assert tab.locator("img, main b:not(.legend b)").count() == 0
    assert HOSTILE in tab.title()


def test_inference_and_drift(tab: Page, program: Program) -> None:
    """Counts as a scrape has them; drift beside its threshold."""
    opened(tab, program, "served")
    said = tiles(tab, "inference")
    samples = program.value("gangplank_predict_total", model="served")
    assert (said["Calls"], said["Samples"], said["Failed"][0]) == ("33", f"{samples:.0f}", "3")
    calls = values(tab, "Calls a second")
    assert max(numbers(calls["all"])) >= max(numbers(calls["failed"])) > 0
    latency = {
        name: numbers([one for one in column if one])
        for name, column in values(tab, "Latency").items()
        if name != "Time"
    }
    assert 0 < latency["median"][0] <= latency["95 %"][0] <= latency["99 %"][0]
    assert tab.locator('[data-section="drift"] .state').inner_text().startswith("Drift detected")
    drift = values(tab, "inputs")
    labels = {"model": "served", "detector": "inputs"}
    for name, suffix in (("test statistic", "test_statistic"), ("threshold", "threshold")):
        assert float(drift[name][-1]) == program.value(f"gangplank_predict_drift_{suffix}", **labels)
    assert float(tiles(tab, "drift")["Detections"]) == program.value("gangplank_predict_drift_detected_total", **labels)


def test_the_keyboard_reaches_everything(tab: Page) -> None:
    """Charts and tables by Tab; values by arrows, and they are read out."""
    tab.locator("body").press("Tab")
    reached = []
    for _ in range(12):
        reached.append(tab.evaluate("document.activeElement.className.baseVal ?? document.activeElement.localName"))
        tab.keyboard.press("Tab")
    assert {"select", "a", "button", "plot", "summary"} <= set(reached)
    loss = chart(tab, "loss")
    loss.locator("svg.plot").focus()
    tip = loss.locator(".tip")
    last = values(tab, "loss")["training"][-1]
    loss.locator("svg.plot").focus()
    for key, epoch in (("ArrowLeft", 6), ("ArrowLeft", 5), ("Home", 1), ("ArrowRight", 2), ("End", 6)):
        tab.keyboard.press(key)
        assert tip.locator("strong").inner_text() == f"Epoch {epoch}"
    assert f"training: {float(last):.4g}" in tip.inner_text()
    assert tab.locator("#said").text_content() == tip.text_content()
    tab.keyboard.press("Escape")
    assert not tip.is_visible()
    assert "training" in (loss.locator("svg.plot").get_attribute("aria-label") or "")


def test_the_mouse_shows_values(tab: Page) -> None:
    """Of the epoch that is nearest."""
    plot = chart(tab, "loss").locator("svg.plot")
    box = plot.bounding_box()
    assert box is not None
    tab.mouse.move(box["x"] + box["width"] - 14, box["y"] + 60)
    assert chart(tab, "loss").locator(".tip strong").inner_text() == "Epoch 6"
    tab.mouse.move(0, 0)
    assert not chart(tab, "loss").locator(".tip").is_visible()


def test_a_logarithmic_axis(tab: Page) -> None:
    """For a loss that falls by powers."""
    button = chart(tab, "loss").locator("button")
    before = chart(tab, "loss").locator("path.line").last.get_attribute("d")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert chart(tab, "loss").locator("path.line").last.get_attribute("d") != before


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_a_phone(chromium: Browser, program: Program, theme: Any) -> None:
    """No scrolling to the side, text that can be read, a finger that shows values."""
    with browser.page(chromium, viewport=PHONE, color_scheme=theme, has_touch=True, reduced_motion="reduce") as tab:
        opened(tab, program, HOSTILE)
        opened(tab, program, "served")
        opened(tab, program, "net")
        assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        contrast, text = tab.evaluate(CONTRAST)
        assert contrast >= LEAST_CONTRAST, text
        is_dark = tab.evaluate("getComputedStyle(document.body).backgroundColor").startswith("rgb(1")
        assert is_dark is (theme == "dark")
        plot = chart(tab, "loss").locator("svg.plot")
        plot.scroll_into_view_if_needed()
        plot.tap()
        assert "Epoch" in chart(tab, "loss").locator(".tip").inner_text()


def test_a_run_is_followed(tab: Page, program: Program) -> None:
    """From its begin to its end, without a reload."""
    program.tell("begin")
    tab.locator("#model option", has_text="held").wait_for(state="attached")
    tab.locator("#model").select_option(f"held ({TEAM})")
    state = tab.locator('[data-section="training"] .state')
    for done in range(3):
        tab.locator("dd", has_text=f"{done} of 3").wait_for()
        assert state.inner_text().startswith("Running")
        program.tell("epoch")
    tab.locator('.state[data-state="done"]').wait_for()
    assert values(tab, "loss")["Epoch"] == ["1", "2", "3"]


def test_an_infinite_weight_does_not_hide_the_others(chromium: Browser) -> None:
    """The readings before it are wanted above all."""
    with Telemetry() as telemetry, telemetry.training_run("net") as run, browser.page(chromium) as tab:
        server = telemetry.attach(PrometheusExporter(port=0))
        for weights in ([-1.0, 0.5, 1.0], [-1.0, 0.5, math.inf]):
            run.weights(summarize_weights([np.array(weights)], (-0.5, 0.0, 0.5)))
            run.epoch({"loss": 0.5})
        tab.goto(server.url.removesuffix("metrics"))
        canvas = chart(tab, "Distribution of the weights").locator("canvas")
        canvas.wait_for()
        columns = canvas.evaluate(
            """(one) => {
                const { data } = one.getContext('2d').getImageData(0, 0, one.width, one.height);
                const drawn = (x) => Array.from({ length: one.height }, (_, y) => data[4 * (y * one.width + x) + 3]);
                return [0.3, 0.8].map((share) => drawn(Math.round(share * one.width)).some(Boolean));
            }"""
        )
        assert columns == [True, True]


def test_a_process_that_is_gone(chromium: Browser) -> None:
    """Said in words, and what was known stays; another process at the same address is shown from its begin."""
    telemetry = Telemetry()
    server = telemetry.attach(PrometheusExporter(port=0))
    port = int(server.url.rpartition(":")[2].removesuffix("/metrics"))
    with browser.page_that_may_fail(chromium) as tab:
        tab.goto(server.url.removesuffix("metrics"))
        tab.locator(".empty").wait_for()
        run = telemetry.training_run("net")
        for loss in (3.0, 2.0):
            run.epoch({"loss": loss})
        tab.locator("svg.plot .dot").first.wait_for()
        server.close()
        tab.locator('#link[data-state="gone"]').wait_for()
        assert "No answer from the process since" in tab.locator("#link").inner_text()
        assert values(tab, "loss")["training"] == ["3", "2"]
        assert tab.locator('[data-section="training"] .state').inner_text() == "When last seen: Running"
        telemetry.close()
        with Telemetry(exporters=[PrometheusExporter(port=port)]) as other, other.training_run("net") as run:
            run.epoch({"loss": 9.0})
            tab.locator('#link[data-state="live"]').wait_for()
            assert values(tab, "loss")["training"] == ["9"]

"""A watch on a terminal of any size, by Textual's pilot: what is on the screen, and what keys do."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable

import pytest
from rich.style import Style
from textual.pilot import Pilot
from watching import LOSS, Scripted, sample

from gangplank.watch.charts import Chart, Line
from gangplank.watch.drawing import draw
from gangplank.watch.heatmap import Bucket, Heatmap
from gangplank.watch.reading import Sample
from gangplank.watch.terminal import Watch

EVIL = "\x1b[31m[red]x\u202e[/]"
NEVER = 3600.0
SMALL, LARGE = (80, 24), (200, 60)


def epoch(number: int, *, loss: float = math.nan, model: str = "net") -> tuple[Sample, ...]:
    """Return what a page has of a run after an epoch."""
    value = 1 / number if math.isnan(loss) else loss
    found = {
        "train_loss": value,
        "train_val_loss": 2.0,
        "train_mae": 3.0,
        "train_running": 1.0,
        "train_epochs_count": number,
        "predict_in_flight": 2.0,
    }
    return tuple(sample(f"gangplank_{name}", each, model=model) for name, each in found.items())


def screen(app: Watch) -> str:
    """Return what can be read on the screen."""
    height = app.size.height
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in line) for line in lines[:height])


def watch(
    source: Scripted, look: Callable[[Watch, Pilot[None]], Awaitable[None]], size: tuple[int, int] = SMALL
) -> None:
    """Watch a source, and look at it once it was read for the first time."""

    async def run() -> None:
        app = Watch(source, "http://here", NEVER if len(source.turns) == 1 else 0.05)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: bool(app._read or app._problem))
            await pilot.pause()
            await look(app, pilot)

    asyncio.run(run())


async def until(pilot: Pilot[None], what: Callable[[], bool]) -> None:
    """Wait until something is so."""
    for _ in range(1000):
        if what():
            return
        await pilot.pause(0.01)
    raise TimeoutError(screen(pilot.app))  # type: ignore[arg-type]


def test_what_is_on_the_screen() -> None:
    """Where it is from, the state in a word, a metric with its validation in one chart, and the keys."""

    async def look(app: Watch, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "┌" in screen(app))
        found = screen(app)
        assert "http://here  at " in found
        assert "running" in found
        assert "net" in found
        assert "val_loss 2" in found
        assert "mae" not in found.partition("val_loss")[2]  # one chart fits, and it is the loss
        assert all(key in found for key in ("model", "metric", "view", "quit"))

    watch(Scripted(epoch(1)), look)


def test_a_large_screen_has_several_charts() -> None:
    """And one that becomes small has one again."""

    async def look(app: Watch, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: screen(app).count("┌") == 2)
        await pilot.resize_terminal(*SMALL)
        await until(pilot, lambda: screen(app).count("┌") == 1)

    watch(Scripted(epoch(1)), look, LARGE)


@pytest.mark.parametrize("size", [(1, 1), (20, 5), (40, 10), (300, 100)])
def test_any_size_will_do(size: tuple[int, int]) -> None:
    """What there is no room for is not there; nothing fails."""

    async def look(app: Watch, pilot: Pilot[None]) -> None:
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "running" in screen(app))

    watch(Scripted(epoch(1)), look, size)


def test_keys() -> None:
    """Another metric, view and model, there and back; help; hold; and away."""

    async def look(app: Watch, pilot: Pilot[None]) -> None:
        def chart() -> str:
            return app.selection.charts[0].title

        assert chart() == "loss"
        await pilot.press("right")
        assert chart() == "mae"
        assert "mae" in screen(app)
        await pilot.press("left", "v")
        assert chart() == "calls in flight"
        await pilot.press("V")
        assert chart() == "loss"
        for key, place in (("m", 2), ("M", 1), ("down", 2), ("up", 1)):
            await pilot.press(key)
            assert app.selection.place == (place, 2)
        await pilot.press("question_mark")
        assert "the next metric" in screen(app)
        await pilot.press("x")
        assert "the next metric" not in screen(app)
        await pilot.press("q")
        assert not app.is_running

    watch(Scripted(epoch(1) + epoch(2, model="other")), look)


def test_what_is_held_stays_and_nothing_is_missed() -> None:
    """It is read meanwhile."""
    source = Scripted(epoch(1), epoch(1))

    async def look(app: Watch, pilot: Pilot[None]) -> None:
        await pilot.press("space")
        assert "held" in screen(app)
        source.turns[:] = [epoch(4)]
        (subject,) = app.history.subjects
        await until(pilot, lambda: subject.value(LOSS) == 0.25)
        assert "0.25" not in screen(app)
        await pilot.press("space")
        assert "0.25" in screen(app)

    watch(source, look)


def test_what_goes_away_is_marked_as_old_and_waited_for() -> None:
    """With the reason, and the last that was known still there."""
    source = Scripted(epoch(1), epoch(1))

    async def look(app: Watch, pilot: Pilot[None]) -> None:
        source.turns[:] = ["the line is [bold]dead\x1b[0m"]
        await until(pilot, lambda: "the line is [bold]dead\\x1b[0m; trying again" in screen(app))
        assert "OLD, of" in screen(app)
        assert "val_loss 2" in screen(app)
        source.turns[:] = [epoch(2)]
        await until(pilot, lambda: "OLD" not in screen(app) and "0.5" in screen(app))
        source.turns[:] = [()]
        await until(pilot, lambda: "GONE since" in screen(app))
        assert "val_loss 2" in screen(app)

    watch(source, look)


def test_nothing_there_yet() -> None:
    """Neither a server nor, then, a model."""
    source = Scripted("nobody answers", "nobody answers")

    async def look(app: Watch, pilot: Pilot[None]) -> None:
        assert "nobody answers; trying again" in screen(app)
        for key in ("m", "v", "right"):
            await pilot.press(key)
        source.turns[:] = [()]
        await until(pilot, lambda: "there is nothing of a model yet" in screen(app))

    watch(source, look)


@pytest.mark.parametrize(("value", "shown"), [(math.inf, "inf"), (-math.inf, "-inf"), (5.0, "5"), (1e300, "1e+300")])
def test_values_that_cannot_be_drawn_are_said(value: float, shown: str) -> None:
    """And a line that is flat, or all there is, is drawn."""

    async def look(app: Watch, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "┌" in screen(app))
        assert re.search(rf"^ *loss +{re.escape(shown)} ", screen(app), re.MULTILINE)

    watch(Scripted(epoch(1, loss=value)), look)


@pytest.mark.parametrize(
    "values",
    [[1.7e308, -1.7e308], [5e-324], [5e-324, 0.0], [1e16, 1e16 + 2], [math.inf, 1.0, math.nan, 2.0], [-3.0] * 3],
    ids=str,
)
@pytest.mark.parametrize("from_zero", [True, False])
def test_whatever_a_number_can_be_is_drawn(values: list[float], *, from_zero: bool) -> None:
    """In as many rows and columns as there are."""
    lines = [Line("loss", [(1.7e9 + index, value) for index, value in enumerate(values)])]
    shown = draw(Chart("loss", lines, from_zero=from_zero), 80, 14).plain.split("\n")
    assert len(shown) == 14
    assert max(map(len, shown)) <= 80
    assert any("\u2800" < mark <= "\u28ff" for mark in "".join(shown[1:]))


def test_a_distribution_is_the_darker_the_denser() -> None:
    """Values go upwards, time goes right; where nothing is known, nothing is drawn."""
    before = [Bucket(0.0, 1.0, 0.5), Bucket(1.0, 4.0, 0.5)]
    columns = [(1.7e9, before), (1.7e9 + 50, list[Bucket]()), (1.7e9 + 100, [Bucket(0.0, 4.0, 1.0)])]
    shown = draw(Heatmap("weights", columns), 60, 10).plain.split("\n")
    assert (len(shown), {len(line) for line in shown[1:]}) == (10, {60})
    assert shown[0] == "weights  0 to 4; the darker, the more"
    assert [line[:4] for line in shown[1:-1]] == ["    ", "  3 ", "    ", "    ", "1.5 ", "    ", "    ", "  0 "]
    assert [line[4] for line in shown[1:-1]] == list("▓▓▓▓▓▓██")
    assert {line[40] for line in shown[1:-1]} == {" "}
    assert {line[-1] for line in shown[1:-1]} == {"█"}


@pytest.mark.parametrize("bucket", [Bucket(0.0, 0.0, 1.0), Bucket(-1e300, 1e300, 1.0), Bucket(1.0, 1.0, 1.0)], ids=str)
@pytest.mark.parametrize("count", [1, 3])
def test_whatever_a_distribution_can_be_is_drawn(bucket: Bucket, count: int) -> None:
    """All weights can be one number, and all can be read once."""
    columns = [(1.7e9 + index, [bucket]) for index in range(count)]
    shown = draw(Heatmap("weights", columns), 60, 10).plain.split("\n")
    assert (len(shown), max(map(len, shown))) == (10, 60)
    assert "█" in "".join(shown)


def test_names_from_outside_do_nothing() -> None:
    """Markup and control characters are text, wherever a name stands."""
    seen = (
        sample("gangplank_predict_drift_test_statistic", 0.1, model=EVIL, detector=EVIL, job=EVIL),
        sample("gangplank_predict_drift_threshold", 0.2, model=EVIL, detector=EVIL, job=EVIL),
    )

    async def look(app: Watch, pilot: Pilot[None]) -> None:
        found = screen(app)
        assert found.count("\\x1b[31m[red]x\\u202e[/]") >= 4
        assert "\x1b" not in found
        assert "\u202e" not in found
        assert not any("red" in str(style) for style in styles(app))

    watch(Scripted(seen), look, LARGE)


def styles(app: Watch) -> list[Style]:
    """Return the styles of all that is on the screen."""
    lines = app.screen._compositor.render_strips()
    return [segment.style for line in lines for segment in line if segment.style is not None]


def test_sixteen_colours_are_enough() -> None:
    """They are the terminal's own, so that dark and light ones are as their owners like them."""

    async def look(app: Watch, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "┌" in screen(app))
        used = {color for style in styles(app) for color in (style.color, style.bgcolor) if color is not None}
        assert {2, 3, 6} <= {color.number for color in used}  # the state, and the lines of the chart
        assert all(color.number is None or color.number < 16 for color in used), used
        assert all(color.triplet is None for color in used), used

    watch(Scripted(epoch(1)), look)


def test_without_colours_lines_are_told_apart_by_their_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As NO_COLOR asks for; with colours all are fine ones."""

    async def look(app: Watch, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "┌" in screen(app))
        assert ("•• val_loss" in screen(app)) is app.no_color
        colored = any(style.color is not None and style.color.number is not None for style in styles(app))
        assert colored is not app.no_color

    watch(Scripted(epoch(1)), look)
    monkeypatch.setenv("NO_COLOR", "1")
    watch(Scripted(epoch(1)), look)

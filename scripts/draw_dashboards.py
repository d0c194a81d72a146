"""Draws what the dashboards show, for the documentation: docs/images/dashboard-*.png.

``python scripts/draw_dashboards.py`` takes two minutes, with TensorFlow or PyTorch. It runs
tests/servers/scripts/everything.py with a real Pushgateway and a real Prometheus, which scrapes every quarter of a
second, and asks that what the panels ask. ``python scripts/draw_dashboards.py URL SECONDS`` asks another Prometheus.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from dashboards.panels import STATES

_ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(_ROOT / "tests"))
from realservers import free_port, prometheus, pushgateway, wait_for  # noqa: E402 - it is there now

mpl.use("Agg")
_EVERYTHING = _ROOT / "tests" / "servers" / "scripts" / "everything.py"
_RULES = _ROOT / "gangplank" / "mixin" / "rules.yml"
_EPOCHS, _SECONDS_OF_EPOCH = 12, 6
_AT_MOST = 180.0
_HEIGHT, _WIDTH = 0.32, 0.6
"""Inches of a cell of Grafana's grid."""
_COLORS = {"blue": "#5794f2", "green": "#73bf69", "yellow": "#f2cc0c", "red": "#f2495c", "purple": "#b877d9"}
_MOST_LINES = 8
_LONG_AGO = 3600.0
_Found = list[tuple[str, list[float], list[float]]]


def ask(prometheus: str, panel: Any, seconds: int) -> _Found:  # noqa: ANN401 - JSON
    """Return the legend, the times and the values of each series of a panel."""
    now = time.time()
    found: _Found = []
    for target in panel["targets"]:
        query = target["expr"].replace("$__rate_interval", "10s").replace("$__range", f"{seconds}s")
        query = query.replace("$job", ".*").replace("$model", ".*")
        window = {"query": query, "start": now - seconds, "end": now, "step": max(seconds / 150, 1)}
        with urlopen(f"{prometheus}/api/v1/query_range?{urlencode(window)}", timeout=30) as reply:  # noqa: S310
            result = json.load(reply)["data"]["result"]
        for series in result:
            labels = series["metric"]
            legend = re.sub(r"{{(\w+)}}", lambda match, of=labels: of.get(match[1], ""), target["legendFormat"])
            times = [float(at) - now for at, _ in series["values"]]
            shown = " ".join(legend.split()) or " ".join(labels.values())
            found.append((shown, times, [float(value) for _, value in series["values"]]))
    return found


def lines(axes: Axes, found: _Found, panel: Any) -> None:  # noqa: ANN401
    """Draw series over time; a value that is not there is a gap."""
    for legend, times, values in found[:_MOST_LINES]:
        axes.plot(times, values, label=legend, linewidth=1.2)
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    for step in steps[1:]:
        axes.axhline(step["value"], color=_COLORS["red"], linewidth=0.8, linestyle="--")
    if found:
        axes.legend(fontsize=6, loc="best", frameon=False)
    axes.xaxis.set_major_formatter("{x:g} s")
    axes.tick_params(labelsize=6)
    axes.grid(visible=True, linewidth=0.3)


def numbers(axes: Axes, found: _Found, panel: Any) -> None:  # noqa: ANN401
    """Write the last values."""
    axes.axis("off")
    unit = panel["fieldConfig"]["defaults"]["unit"]
    shown = [f"{_number(last[-1], unit)}  {legend}" for legend, _, values in found if (last := _finite(values))][:4]
    size = 9 if len(shown) > 1 else 12
    axes.text(0.02, 0.5, "\n".join(shown) or "no data", fontsize=size, va="center", transform=axes.transAxes)


def states(axes: Axes, found: _Found, panel: Any) -> None:  # noqa: ANN401, ARG001
    """Draw what lasted from when to when."""
    for row, (_, times, values) in enumerate(found):
        for value, (text, color) in STATES.items():
            at = [moment for moment, one in zip(times, values, strict=True) if one == value]
            if at:
                axes.barh(row, at[-1] - at[0] + 1, left=at[0], height=0.7, color=_COLORS[color])
                axes.text(at[0], row, f" {text}", fontsize=7, va="center")
    axes.set_yticks(range(len(found)), [legend for legend, _, _ in found], fontsize=6)
    axes.tick_params(labelsize=6)


def heatmap(axes: Axes, found: _Found, panel: Any) -> None:  # noqa: ANN401, ARG001
    """Draw how many there are in each bucket."""
    found = sorted(found, key=lambda one: float(one[0]))
    times = sorted({at for _, moments, _ in found for at in moments})
    counts = np.array(
        [[dict(zip(moments, values, strict=True)).get(at, 0) for at in times] for _, moments, values in found]
    )
    axes.imshow(np.diff(counts, axis=0, prepend=0), aspect="auto", origin="lower", cmap="Blues", interpolation="none")
    every = max(len(found) // 6, 1)
    axes.set_yticks(range(0, len(found), every), [f"{float(one[0]):g}" for one in found[::every]], fontsize=6)
    axes.set_xticks([])


def table(axes: Axes, found: _Found, panel: Any) -> None:  # noqa: ANN401, ARG001
    """Write labels."""
    axes.axis("off")
    axes.text(0.02, 0.5, "\n".join(legend for legend, _, _ in found), fontsize=7, va="center", transform=axes.transAxes)


_DRAWN = {"timeseries": lines, "stat": numbers, "state-timeline": states, "heatmap": heatmap, "table": table}


def draw(dashboard: Any, prometheus: str, seconds: int) -> plt.Figure:  # noqa: ANN401
    """Return the picture of a dashboard."""
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    tall = max(place["y"] + place["h"] for place in places)
    figure = plt.figure(figsize=(24 * _WIDTH, tall * _HEIGHT))
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        left, top = place["x"] / 24, 1 - place["y"] / tall
        if panel["type"] == "row":
            figure.text(left + 0.005, top - 0.7 / tall, panel["title"], fontsize=11, weight="bold")
            continue
        low = top - (place["h"] - 0.7) / tall
        room = (left + 0.05, low, place["w"] / 24 - 0.06, (place["h"] - 1.7) / tall)
        axes = figure.add_axes(room)
        _DRAWN[panel["type"]](axes, ask(prometheus, panel, seconds), panel)
        axes.set_title(panel["title"], fontsize=8, loc="left")
    return figure


def _finite(values: list[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def _number(value: float, unit: str) -> str:
    if unit == "percentunit":
        return f"{value:.1%}"
    if unit == "s":
        return f"{value / 60:.1f} min" if value > _LONG_AGO / 30 else f"{value:.3g} s"
    return f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}"  # noqa: PLR2004


def show(address: str, seconds: int) -> None:
    """Draw all dashboards."""
    (_ROOT / "docs" / "images").mkdir(exist_ok=True)
    for path in sorted((_ROOT / "gangplank" / "mixin" / "dashboards").glob("*.json")):
        picture = draw(json.loads(path.read_text(encoding="utf-8")), address, seconds)
        picture.savefig(_ROOT / "docs" / "images" / f"dashboard-{path.stem}.png", dpi=80)


def show_everything() -> None:
    """Draw all dashboards of a run of everything."""
    with TemporaryDirectory() as folder:
        places = [Path(folder, name) for name in ("gateway", "prometheus")]
        for place in places:
            place.mkdir()
        port = free_port()
        with (
            pushgateway(places[0]) as gateway,
            prometheus(places[1], f"127.0.0.1:{port}", also=[gateway.address], rules=[_RULES]) as server,
        ):
            began = time.monotonic()
            command = [
                sys.executable,
                str(_EVERYTHING),
                gateway.address,
                str(port),
                str(_EPOCHS),
                str(_SECONDS_OF_EPOCH),
            ]
            with subprocess.Popen(command, stdin=subprocess.PIPE) as program:  # noqa: S603 - ours
                wait_for(lambda: program.poll() is not None or server.query("gangplank_test_loss"), _AT_MOST)
                show(server.url, int(time.monotonic() - began))
                program.communicate(b"\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        show(sys.argv[1], int(sys.argv[2]))
    else:
        show_everything()

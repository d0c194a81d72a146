"""What is asked by the dashboards and rules that are shipped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MIXIN = Path(__file__).parents[1] / "gangplank" / "mixin"
RULES = MIXIN / "rules.yml"
DASHBOARDS = sorted((MIXIN / "dashboards").glob("*.json"))
_EXPRESSION = re.compile(r"^ +expr: (?:\|\n((?: {10,}.*\n)+)|(.*)\n)", re.MULTILINE)
_VARIABLES = {"$job": ".*", "$model": ".*", "$__rate_interval": "4s", "$__range": "10m"}
"""What Grafana would put in their place, for a Prometheus that scrapes four times a second."""


@dataclass(frozen=True)
class Asked:
    """A query of a panel.

    Attributes:
        dashboard: The name of its file.
        panel: The panel, as JSON.
        expression: In PromQL, without Grafana's variables.
    """

    dashboard: str
    panel: Any
    expression: str

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel['title']}: {self.expression}"


def of_panels() -> list[Asked]:
    """Return the queries of all dashboards."""
    return [
        Asked(path.stem, panel, filled(target["expr"]))
        for path in DASHBOARDS
        for panel in panels(path)
        for target in panel["targets"]
    ]


def panels(path: Path) -> list[Any]:
    """Return the panels of a dashboard, rows aside."""
    return [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]


def of_rules() -> list[str]:
    """Return the expressions of all rules."""
    return [block or line for block, line in _EXPRESSION.findall(RULES.read_text())]


def filled(expression: str) -> str:
    """Return a query with Grafana's variables filled in."""
    for name, value in _VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def everything() -> Iterator[str]:
    """Yield the queries of all dashboards and rules."""
    yield from (asked.expression for asked in of_panels())
    yield from of_rules()

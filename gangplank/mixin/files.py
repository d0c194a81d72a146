"""The files that are shipped, with what an operator says in them."""

from __future__ import annotations

from importlib.resources import files

from gangplank.mixin.objectives import Objective, written

DASHBOARDS = ("training", "inference", "drift", "telemetry")
RULES = "gangplank.rules.yml"
"""What the file of the rules is called where it is written."""

RUNBOOKS = "http://127.0.0.1:8000/reference/runbook/"
"""Where ``make docs`` serves the page of the runbooks."""

_HERE = files("gangplank.mixin")


def rules(objective: Objective, success_within: int, runbooks: str = RUNBOOKS) -> str:
    """Return the rules for Prometheus.

    Args:
        objective: What is expected of calls.
        success_within: Seconds after which a model should have been trained with success again.
        runbooks: Where the page of the runbooks is served.
    """
    text = (_HERE / "rules.yml").read_text(encoding="utf-8")
    return written(text, objective, success_within).replace(RUNBOOKS, runbooks)


def dashboard(name: str) -> str:
    """Return one of :data:`DASHBOARDS`, for Grafana to import."""
    return (_HERE / "dashboards" / f"{name}.json").read_text(encoding="utf-8")

"""Writes gangplank/mixin/dashboards/*.json from the tables of panels: python scripts/make_dashboards.py [--check]."""

from __future__ import annotations

import sys
from pathlib import Path

from dashboards.grafana import to_json
from dashboards.inference import DRIFT, INFERENCE
from dashboards.telemetry import TELEMETRY
from dashboards.training import TRAINING

FOLDER = Path(__file__).parents[1] / "gangplank" / "mixin" / "dashboards"

if __name__ == "__main__":
    for dashboard in (TRAINING, INFERENCE, DRIFT, TELEMETRY):
        file, content = FOLDER / f"{dashboard.name}.json", to_json(dashboard)
        if "--check" not in sys.argv:
            file.write_text(content, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != content:
            sys.exit(f"{file} is not what the tables say: run python scripts/make_dashboards.py")

"""Checks of the checkout: what is shipped, what is promised, what is written down twice."""

from __future__ import annotations

import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import gangplank

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_adapter_is_shipped() -> None:
    """An adapter that the wheel's list of packages forgets would be missing without a word."""
    shipped = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    adapters = {f"adapters/{path.parent.name}" for path in ROOT.glob("adapters/*/__init__.py")}
    assert set(shipped) == {"gangplank", *adapters}


def test_second_source_root_and_scripts_are_no_packages() -> None:
    """An ``__init__.py`` there would shadow somebody's package of that name."""
    for folder in ("adapters", "tests", "docs", "examples", "benchmarks"):
        assert not (ROOT / folder / "__init__.py").exists()


@pytest.mark.parametrize("page", ["metrics", "environment", "cli"])
def test_generated_pages_are_what_the_tables_say(page: str) -> None:
    """Python docs/make_metrics_page.py, and the like, write them anew."""
    generated = runpy.run_path(str(ROOT / "docs" / f"make_{page}_page.py"))["page"]()
    assert (ROOT / "docs" / "reference" / f"{page}.md").read_text() == generated


def test_public_names() -> None:
    """What can be imported from the front door is this, and each name has a home."""
    assert set(gangplank.__all__) == {
        "HISTOGRAM_WEIGHT_BUCKETS_0_3",
        "HISTOGRAM_WEIGHT_BUCKETS_1_0",
        "ConfigurationError",
        "Drift",
        "DriftProfile",
        "DriftProfileCallback",
        "DriftResult",
        "RiverDrift",
        "MMDDrift",
        "FeatureDrift",
        "ClassDrift",
        "BatchTest",
        "AlibiDrift",
        "ExportError",
        "GangplankError",
        "KerasInstrumentor",
        "MissingDependencyError",
        "PrometheusExporter",
        "PrometheusModel",
        "PushgatewayExporter",
        "PushgatewayMetricReader",
        "ServerStartError",
        "Telemetry",
        "TelemetryCallback",
        "TelemetryModel",
        "TrainTestExporter",
        "Weights",
        "drift_profile",
        "summarize_weights",
    }
    assert set(gangplank.__all__) <= set(dir(gangplank))


def test_extras_that_errors_name_exist() -> None:
    """The pip command in a MissingDependencyError must work."""
    extras = PROJECT["project"]["optional-dependencies"]
    named = {extra for _, extra, _ in gangplank._HOMES.values() if extra is not None}
    assert {one for extra in named for one in extra.split(",")} <= set(extras)


def test_version_is_the_projects() -> None:
    """The installed version is the one in pyproject.toml."""
    assert gangplank.__version__ == PROJECT["project"]["version"]


def test_wheel_from_sdist_runs_outside_the_checkout(tmp_path: Path) -> None:
    """A wheel built from the sdist, unpacked elsewhere, has everything: core, adapter, type markers."""
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(site)], check=True)
    data = (
        *("gangplank/mixin/rules.yml", "gangplank/mixin/dashboards/training.json"),
        "gangplank/exporters/page/assets/page.html",
    )
    for part in ("gangplank/py.typed", "gangplank_keras/py.typed", "gangplank_keras/callback.py", *data):
        assert (site / part).is_file()
    found = subprocess.run(
        [sys.executable, "-c", "import gangplank, gangplank.telemetry; print(gangplank.__file__)"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(site)},
    )
    assert found.stdout.strip() == str(site / "gangplank" / "__init__.py")

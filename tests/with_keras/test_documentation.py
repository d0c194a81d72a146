"""The Python in README.md and docs/ runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import keras
import pytest
from keras_suite import data, regression

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = [
    pytest.param(code, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE))
]

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="what is shown is not about a backend")


@pytest.mark.parametrize("code", BLOCKS)
def test_block(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block runs with a model and data at hand, and ``gangplank`` imported."""
    monkeypatch.chdir(tmp_path)  # where it may save things
    x, y = data()
    names = {"model": regression(), "x": x, "y": y}
    exec(f"import gangplank\n{code}", names)  # noqa: S102 - our own documentation
    telemetry = names.get("telemetry")
    if telemetry is not None:
        telemetry.close()

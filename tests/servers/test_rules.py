"""The shipped rules, as promtool sees them: they are sound, and each alert fires when it should and only then."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import needs
import pytest

ROOT = Path(__file__).parents[2]
RULES = ROOT / "gangplank" / "mixin" / "rules.yml"
CASES = sorted((Path(__file__).parent / "rules").glob("*.yml"))


def _promtool(*arguments: str) -> None:
    done = subprocess.run(
        [needs.program("promtool", "prometheus"), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_sound() -> None:
    """Promtool has nothing to say against them."""
    _promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should(cases: Path) -> None:
    """The cases of a file, of which each says what fires when, and what does not."""
    _promtool("test", "rules", str(cases))


def test_the_guides_alert_is_as_it_says(tmp_path: Path) -> None:
    """The rule and its cases in the guide to alerts of one's own."""
    guide = (ROOT / "docs" / "guides" / "alerts.md").read_text()
    rules, cases = re.findall(r"^```yaml\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    (tmp_path / "alerts.yml").write_text(rules)
    (tmp_path / "alerts.test.yml").write_text(cases)
    _promtool("check", "rules", str(tmp_path / "alerts.yml"))
    _promtool("test", "rules", str(tmp_path / "alerts.test.yml"))

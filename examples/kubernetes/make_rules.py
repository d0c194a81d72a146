"""Writes rules.yml: the rules of ``gangplank rules`` as a PrometheusRule, for a Prometheus of the operator's."""

from __future__ import annotations

from pathlib import Path

RULES = Path(__file__).resolve().parents[2] / "gangplank" / "mixin" / "rules.yml"
MANIFEST = Path(__file__).with_name("rules.yml")
_HEAD = """\
# python kubernetes/make_rules.py writes this file. Where Prometheus looks only for some rules, its ruleSelector says
# which labels they need, such as release: kube-prometheus-stack.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: gangplank
  labels: {app.kubernetes.io/name: gangplank}
spec:
"""


def manifest(rules: str) -> str:
    """Return the manifest of rules: both have the same groups, which are further in here."""
    return _HEAD + "".join(f"  {line}" if line.strip() else line for line in rules.splitlines(keepends=True))


if __name__ == "__main__":
    MANIFEST.write_text(manifest(RULES.read_text(encoding="utf-8")), encoding="utf-8")

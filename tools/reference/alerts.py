"""docs/reference/alerts.md: every alert for Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tools.reference.markdown import GENERATED, plain

_ALERTS = Path(__file__).resolve().parents[2] / "deploy/chart/files/alerts.yaml"
_INTRODUCTION = """
# Alerts

`deploy/prometheus/kiteway.yaml` is a file for `rule_files` of Prometheus. The chart makes the same a PrometheusRule with
`metrics.alerts.enabled`. Each alert has the annotations `summary`, `description` and `runbook`, and the label `severity`:
`critical` (calls fail, or soon will), `warning` (something is not as asked for) or `info`. The
[metrics](metrics.md) that they use need `--metrics-bind`.
"""


def render() -> str:
    """Return the page."""
    groups = yaml.safe_load(_ALERTS.read_text())["groups"]
    return "".join([GENERATED, _INTRODUCTION, *(_section(rule) for group in groups for rule in group["rules"])])


def _section(rule: dict[str, Any]) -> str:
    annotations = rule["annotations"]
    lasting = f", for {rule['for']}" if "for" in rule else ""
    expression = "\n".join(line.rstrip() for line in rule["expr"].strip().splitlines())
    return (
        f"\n## {rule['alert']}\n\n"
        f"{plain(annotations['description'])} Severity {rule['labels']['severity']}{lasting}:\n\n"
        f"```promql\n{expression}\n```\n\n"
        f"What to do: {plain(annotations['runbook'])}\n"
    )

"""The chart's arguments match the command line that it starts."""

from __future__ import annotations

import re
from pathlib import Path

from typer.main import get_command

from kiteway.cli import app

DEPLOYMENT = Path(__file__).resolve().parents[2] / "deploy/chart/templates/deployment.yaml"


def test_every_argument_of_the_chart_is_one_of_the_controller() -> None:
    """Every option that the chart passes to ``kiteway controller`` exists."""
    commands = get_command(app).commands  # type: ignore[attr-defined]
    known = {name for p in commands["controller"].params for name in (*p.opts, *p.secondary_opts)}

    given = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", DEPLOYMENT.read_text()))

    assert given
    assert given - known == set()


def test_the_probes_ask_for_what_is_served() -> None:
    """The paths of the chart's probes exist on the metrics endpoint."""
    asked = set(re.findall(r"httpGet: \{path: (\S+), port: metrics\}", DEPLOYMENT.read_text()))

    assert asked == {"/live", "/ready"}

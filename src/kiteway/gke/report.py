"""Plans as plain values, for ``--output json``."""

from __future__ import annotations

from typing import Any

import msgspec

from kiteway.gke.step import Plan, Step
from kiteway.report.problem import Problem


def plan_report(plan: Plan) -> dict[str, Any]:
    """Return a plan as dicts, lists and strings; no secret is in it."""
    return {
        "changes": plan.changes,
        "problems": [msgspec.to_builtins(Problem.of_diagnostic(problem)) for problem in plan.problems],
        "steps": [step_report(step) for step in plan.steps],
    }


def step_report(step: Step) -> dict[str, Any]:
    """Return one step."""
    return {
        "id": step.id,
        "title": step.title,
        "state": str(step.state),
        "sees": step.sees,
        "effect": {"impact": str(step.effect.impact), "text": step.effect.text},
        "undo": step.undo,
        "diff": step.diff,
        "commands": [{"argv": list(command.argv), "stdin": command.feed} for command in step.commands],
    }

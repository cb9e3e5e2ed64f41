"""Plans as ``--output json`` shows them; no secret is in them."""

from __future__ import annotations

from typing import Final

import msgspec

from kiteway.gke.step import Command, Impact, Plan, State, Step
from kiteway.report.problem import Problem

SCHEMA_VERSION: Final = 1
"""It grows when a field is removed, renamed or changes its meaning or type; a field may be added without."""


class EffectReport(msgspec.Struct, frozen=True):
    """
    The effect of a step on connected clients.

    Attributes:
        impact: the kind.
        text: which clients, and for how long; one sentence.
    """

    impact: Impact
    text: str


class CommandReport(msgspec.Struct, frozen=True):
    """
    A command.

    Attributes:
        argv: the program and its arguments.
        stdin: what its input is, in words; empty for none.
    """

    argv: tuple[str, ...]
    stdin: str

    @classmethod
    def of_command(cls, command: Command) -> CommandReport:
        """Return the form of ``command`` for the JSON output."""
        return cls(command.argv, command.feed)


class StepReport(msgspec.Struct, frozen=True):
    """
    A step.

    Attributes:
        id: its stable name.
        title: what it does.
        state: whether it is done; `manual` is a step that only you can do.
        sees: the observation that shows the state.
        effect: the effect on connected clients.
        undo: how it is undone.
        diff: what changes; empty when nothing does.
        commands: what is run.
    """

    id: str
    title: str
    state: State
    sees: str
    effect: EffectReport
    undo: str
    diff: str
    commands: tuple[CommandReport, ...]

    @classmethod
    def of_step(cls, step: Step) -> StepReport:
        """Return a step as JSON shows it."""
        return cls(
            id=step.id,
            title=step.title,
            state=step.state,
            sees=step.sees,
            effect=EffectReport(step.effect.impact, step.effect.text),
            undo=step.undo,
            diff=step.diff,
            commands=tuple(map(CommandReport.of_command, step.commands)),
        )


class GkePlanReport(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    The steps of `kiteway gke`.

    Attributes:
        schema_version: the version of this document.
        changes: whether there is anything to do.
        problems: what is wrong; an error keeps the plan from being applied.
        steps: the steps, in order.
    """

    schema_version: int = SCHEMA_VERSION
    changes: bool
    problems: tuple[Problem, ...]
    steps: tuple[StepReport, ...]

    @classmethod
    def of_plan(cls, plan: Plan) -> GkePlanReport:
        """Return a plan as JSON shows it."""
        return cls(
            changes=plan.changes,
            problems=tuple(map(Problem.of_diagnostic, plan.problems)),
            steps=tuple(map(StepReport.of_step, plan.steps)),
        )

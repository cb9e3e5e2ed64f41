"""Prints the plans and the progress of `kiteway gke`."""

from __future__ import annotations

from kiteway.cli.output import print_diagnostics, stdout
from kiteway.cli.terminal import line, table
from kiteway.diagnostics import Diagnostic
from kiteway.gke.live import Release
from kiteway.gke.step import Impact, Plan, State, Step
from kiteway.gke.tradeoffs import COLUMNS, ROWS

_COLOURS = {State.DONE: "green", State.TODO: "bold", State.WAITING: "yellow", State.MANUAL: "magenta"}


class Printer:
    """Prints the progress of a plan on standard output."""

    def problems(self, problems: tuple[Diagnostic, ...]) -> None:
        """Print them, on standard error."""
        print_diagnostics(problems)

    def pending(self, release: Release, seconds: float) -> None:
        """Print the operation of Helm that is waited for, and the longest wait."""
        text = f"waiting up to {seconds:g} s: Helm is changing {release.name} ({release.status})"
        stdout.print(text)

    def step(self, step: Step) -> None:
        """Print a step; also its effect and its diff if it is not done yet."""
        print_step(step)

    def command(self, text: str) -> None:
        """Print a command that is about to be run."""
        stdout.print(f"   $ {text}")

    def waiting(self, step: Step, seconds: float) -> None:
        """Print the condition that is waited for."""
        stdout.print(f"   waiting {seconds:4.0f} s: {step.sees}")


def print_plan(made: Plan) -> None:
    """Print every step and every problem."""
    for step in made.steps:
        print_step(step)
        for command in step.commands:
            stdout.print(f"   $ {command}")
    print_diagnostics(made.problems)
    if made.refused:
        return
    todo = sum(step.state is State.TODO for step in made.steps)
    text = f"{todo} steps to do; nothing has been written." if made.changes else "Nothing would change."
    stdout.print(text)


def print_step(step: Step) -> None:
    """Print one step; a step that is done gets one line."""
    stdout.print(line((step.id, "bold"), ": ", step.title, "  ", (step.state.upper(), _COLOURS[step.state])))
    stdout.print(f"   now:     {step.sees}")
    if step.state is State.DONE:
        return
    style = "" if step.effect.impact is Impact.NONE else "red"
    stdout.print(line("   clients: ", (f"{step.effect.impact}. {step.effect.text}", style)))
    stdout.print(f"   undo:    {step.undo}")
    for changed in step.diff.splitlines():
        stdout.print(line((f"     {changed}", _diff_style(changed))))


def _diff_style(line: str) -> str:
    if line.startswith(("+++", "---", "@@")):
        return "dim"
    return {"+": "green", "-": "red"}.get(line[:1], "")


def print_tradeoffs() -> None:
    """Print the data planes side by side."""
    rows = table(*COLUMNS)
    for row in ROWS:
        rows.add_row(*row)
    stdout.print(rows)

"""`kiteway gke`: the guide on GKE, planned, shown, applied and undone."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from kiteway.cli.gke_options import (
    CertificateOption,
    ChartOption,
    ContextOption,
    DataPlaneOption,
    DrainingOption,
    FileOption,
    HostOption,
    HttpOption,
    NamespaceOption,
    ProjectOption,
    ReleaseOption,
    RemoveL4Option,
    RepoOption,
    RestPortOption,
    StaticIpOption,
    TimeoutOption,
)
from kiteway.cli.output import Output, OutputOption, emit, fail, print_diagnostics, stdout
from kiteway.diagnostics import Severity
from kiteway.gke.plan import make_plan
from kiteway.gke.preflight import preflight
from kiteway.gke.reading import read_live
from kiteway.gke.report import plan_report
from kiteway.gke.run import CommandError
from kiteway.gke.shell import Shell
from kiteway.gke.step import Impact, Plan, State, Step
from kiteway.gke.tradeoffs import COLUMNS, ROWS
from kiteway.gke.wanted import Wanted, WantedError, make_wanted, schema

app = typer.Typer(no_args_is_help=True, help="Set up a Layer-7 balancer for a Milvus on GKE.")

_COLOURS = {State.DONE: "green", State.TODO: "bold", State.WAITING: "yellow", State.MANUAL: "magenta"}


@app.callback()
def _gke() -> None:
    """
    Set up a Layer-7 balancer for a Milvus on GKE: Google's, Kiteway's, or both.

    `plan` shows every step and writes nothing; `apply` does them; `rollback` undoes them.
    """


@app.command()
def plan(
    *,
    file: FileOption = None,
    host: HostOption = None,
    certificate: CertificateOption = None,
    data_plane: DataPlaneOption = None,
    static_ip_name: StaticIpOption = None,
    rest_port: RestPortOption = None,
    http: HttpOption = None,
    timeout_sec: TimeoutOption = None,
    draining_timeout_sec: DrainingOption = None,
    remove_l4: RemoveL4Option = None,
    release: ReleaseOption = None,
    namespace: NamespaceOption = None,
    chart: ChartOption = None,
    repo: RepoOption = None,
    context: ContextOption = "",
    project: ProjectOption = "",
    tradeoffs: Annotated[bool, typer.Option("--tradeoffs", help="Show the data planes side by side, no more.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    Show what would change, step by step, and whom it interrupts. Nothing is written.

    Exit status: 0 there is a plan, 1 something is in its way, 2 usage.

    Examples:
    \b
      kiteway gke plan --host my-release.milvus.io
      kiteway gke plan --host my-release.milvus.io --certificate google-managed --output json
      kiteway gke plan --tradeoffs
    """
    if tradeoffs:
        _print_tradeoffs()
        return
    wanted = _wanted(dict(locals()))
    made = _run(_planned(wanted, Shell(context, project)))
    if output is Output.TABLE:
        _print_plan(made)
    else:
        emit(plan_report(made), output)
    raise typer.Exit(1 if made.refused else 0)


@app.command("schema")
def print_schema() -> None:
    """Print the JSON schema of the file that --file takes."""
    json.dump(schema(), sys.stdout, indent=2)
    sys.stdout.write("\n")


async def _planned(wanted: Wanted, shell: Shell) -> Plan:
    found = await preflight(wanted, shell)
    if any(problem.severity is Severity.ERROR for problem in found):
        return Plan((), found)
    made = make_plan(await read_live(wanted, shell), wanted, shell)
    return Plan(made.steps, (*found, *made.problems))


_FIELDS = (
    "host",
    "certificate",
    "data_plane",
    "static_ip_name",
    "rest_port",
    "http",
    "timeout_sec",
    "draining_timeout_sec",
    "remove_l4",
    "release",
    "namespace",
    "chart",
    "repo",
)


def _wanted(options: dict[str, Any]) -> Wanted:
    try:
        return make_wanted(options["file"], {name.replace("_", "-"): options[name] for name in _FIELDS})
    except WantedError as error:
        raise fail(str(error), 2) from None


def _run(work: Any) -> Any:
    try:
        return asyncio.run(work)
    except CommandError as error:
        raise fail(str(error)) from None


def _print_plan(made: Plan) -> None:
    for number, step in enumerate(made.steps, 1):
        stdout.print()
        _print_step(number, step)
    print_diagnostics(made.problems)
    if made.refused:
        return
    todo = sum(step.state is State.TODO for step in made.steps)
    stdout.print()
    said = "Nothing would change." if not made.changes else f"{todo} steps to do; nothing has been written."
    stdout.print(said, markup=False)


def _print_step(number: int, step: Step) -> None:
    colour = _COLOURS[step.state]
    stdout.print(Text.assemble((f"{number}. {step.id}", "bold"), ": ", step.title, "  ", (step.state.upper(), colour)))
    stdout.print(f"   now:     {step.sees}", markup=False)
    if step.state is State.DONE:
        return
    style = "" if step.effect.impact is Impact.NONE else "red"
    stdout.print(Text.assemble("   clients: ", (f"{step.effect.impact}. {step.effect.text}", style)))
    stdout.print(f"   undo:    {step.undo}", markup=False)
    for command in step.commands:
        stdout.print(f"   $ {command}", markup=False)
    for line in step.diff.splitlines():
        stdout.print(Text(f"     {line}", _diff_style(line)))


def _diff_style(line: str) -> str:
    if line.startswith(("+++", "---", "@@")):
        return "dim"
    return {"+": "green", "-": "red"}.get(line[:1], "")


def _print_tradeoffs() -> None:
    table = Table(*COLUMNS, box=None, pad_edge=False)
    for row in ROWS:
        table.add_row(*row)
    stdout.print(table)

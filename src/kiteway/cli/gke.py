"""`kiteway gke`: plan, apply and undo the guide on GKE."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from kiteway.cli.gke_options import PlanOnlyOption, Verifying, Where, Wish
from kiteway.cli.gke_show import Printer, print_plan, print_tradeoffs
from kiteway.cli.groups import grouped
from kiteway.cli.output import Output, OutputOption, emit, fail, print_diagnostics, stdout
from kiteway.diagnostics import Severity
from kiteway.gke.apply import ApplyError, Doing
from kiteway.gke.apply import apply as do_apply
from kiteway.gke.emit import emit as write_files
from kiteway.gke.emit import emitted
from kiteway.gke.live import ClusterReading
from kiteway.gke.options import GkeOptions, OptionsError, make_options, read_file, schema
from kiteway.gke.plan import make_plan
from kiteway.gke.preflight import preflight
from kiteway.gke.reading import Reader, read_recorded
from kiteway.gke.report import GkePlanReport
from kiteway.gke.rollback import make_rollback
from kiteway.gke.run import CommandError
from kiteway.gke.shell import Shell
from kiteway.gke.step import Plan
from kiteway.gke.user_yaml import UserYamlError
from kiteway.gke.verification import NotReadyError, as_command, run_verification, target
from kiteway.milvus.verify import SdkMissingError

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="Set up a Layer-7 balancer for a Milvus on GKE.")


@app.callback()
def _gke() -> None:
    """
    Set up a Layer-7 balancer for a Milvus on GKE: Google's, or Kiteway's.

    `plan` shows every step and writes nothing; `apply` does the steps; `rollback` undoes them.
    """


@app.command()
@grouped
def plan(
    *,
    wish: Wish,
    where: Where,
    tradeoffs: Annotated[bool, typer.Option("--tradeoffs", help="Only compare the data planes.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    Show every step, its changes and which clients it interrupts. Nothing is written.

    Exit status: 0 there is a plan, 1 a problem prevents it, 2 usage error.

    Examples:
    \b
      kiteway gke plan --host my-release.milvus.io
      kiteway gke plan --host my-release.milvus.io --certificate google-managed --output json
      kiteway gke plan --tradeoffs
    """
    if tradeoffs:
        print_tradeoffs()
        return
    made = _run(_planned(_wanted(wish, where), where.shell))
    if output is Output.TABLE:
        print_plan(made)
    else:
        emit(msgspec.to_builtins(GkePlanReport.of_plan(made)), output)
    raise typer.Exit(1 if made.refused else 0)


@app.command()
@grouped
def apply(
    *,
    wish: Wish,
    where: Where,
    verifying: Verifying,
    emit_to: Annotated[
        Path | None,
        typer.Option(
            "--emit",
            metavar="DIR",
            help="Write values and manifests to this folder, and change nothing in the cluster.",
        ),
    ] = None,
) -> None:
    """
    Do the steps that `plan` shows, and verify the result. Steps that are done are skipped, also after an interrupted run.

    Every command is shown before it is run. The old Layer-4 balancer stays, unless --remove-l4 is given; then it is
    removed last, after the new endpoint is verified.

    Exit status: 0 done and verified, 1 not, 2 usage error.

    Examples:
    \b
      kiteway gke apply --host my-release.milvus.io
      kiteway gke apply --host my-release.milvus.io --remove-l4
      kiteway gke apply --host my-release.milvus.io --emit deploy/
    """
    wanted = _wanted(wish, where)
    if emit_to is not None:
        _emit(wanted, where.shell, emit_to)
        return
    _run(_applied(wanted, where.shell, verifying))


@app.command()
@grouped
def status(
    *,
    where: Where,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    Show the state of each step of the last `apply`.

    Exit status: 0 every step is done, 1 a step is not.
    """

    async def work() -> Plan:
        reader, wanted = await _recorded(where)
        return make_plan(await reader.read(), wanted, where.shell)

    made = _run(work())
    if output is Output.TABLE:
        print_plan(made)
    else:
        emit(msgspec.to_builtins(GkePlanReport.of_plan(made)), output)
    raise typer.Exit(1 if made.refused or made.changes else 0)


@app.command()
@grouped
def verify(
    *,
    where: Where,
    verifying: Verifying,
) -> None:
    """
    Verify the endpoint that was applied with PyMilvus, as the guide does.

    Exit status: 0 verified, 1 not.
    """

    async def work() -> None:
        reader, wanted = await _recorded(where)
        await _verified(await reader.read(), wanted, verifying)

    _run(work())


@app.command()
@grouped
def rollback(
    *,
    where: Where,
    plan_only: PlanOnlyOption = False,
) -> None:
    """
    Restore the values, annotations and objects from before the first `apply`.

    Changes that others have made since remain. The address reserved at Google remains, too; `destroy` releases it.

    Exit status: 0 restored, 1 not.
    """
    _back(where, destroy=False, plan_only=plan_only)


@app.command()
@grouped
def destroy(
    *,
    where: Where,
    plan_only: PlanOnlyOption = False,
) -> None:
    """
    Roll back, and release the address at Google if `apply` reserved it.

    Exit status: 0 released, 1 not.
    """
    _back(where, destroy=True, plan_only=plan_only)


@app.command("schema")
def print_schema() -> None:
    """Print the JSON schema of the file that --file takes."""
    json.dump(schema(), sys.stdout, indent=2)
    sys.stdout.write("\n")


async def _planned(wanted: GkeOptions, shell: Shell) -> Plan:
    found = await preflight(wanted, shell)
    if any(problem.severity is Severity.ERROR for problem in found):
        return Plan((), found)
    made = make_plan(await Reader(wanted, shell).read(), wanted, shell)
    return Plan(made.steps, (*found, *made.problems))


async def _applied(wanted: GkeOptions, shell: Shell, verifying: Verifying) -> None:
    found = await preflight(wanted, shell)
    print_diagnostics(found)
    if Plan((), found).refused:
        raise typer.Exit(1)

    reader = Reader(wanted, shell)

    async def verification() -> None:
        await _verified(await reader.read(), wanted, verifying)

    doing = Doing(
        read=reader.read,
        plan=lambda live: make_plan(live, wanted, shell),
        progress=Printer(),
        before=("remove-l4", verification),
    )
    changed = await do_apply(doing)
    await verification()
    stdout.print("Done." if changed else "Nothing had to be changed.")


async def _verified(live: ClusterReading, wanted: GkeOptions, verifying: Verifying) -> None:
    with tempfile.TemporaryDirectory(prefix="kiteway-") as folder:
        at = target(live, wanted, Path(folder), address=verifying.verify_address, ca=verifying.ca)
        stdout.print(f"   $ {as_command(at)}")
        report = await run_verification(at, lambda _step: None)
    if report.failure is not None:
        raise fail(f"not verified ({report.failure.reason}): {report.failure.sentence} {report.failure.fix}")
    stdout.print(f"Verified: Milvus {report.versions.milvus} at {report.address} as {wanted.host}.")


async def _recorded(where: Where) -> tuple[Reader, GkeOptions]:
    release, namespace = _named(where)
    wanted = await read_recorded(release, namespace, where.shell)
    if wanted is None:
        raise fail(f"there is no record of kiteway gke for {namespace}/{release}; give --release and --namespace.")
    return Reader(wanted, where.shell), wanted


def _back(where: Where, *, destroy: bool, plan_only: bool) -> None:
    shell = where.shell

    async def work() -> None:
        reader, _ = await _recorded(where)
        if plan_only:
            print_plan(make_rollback(await reader.read(), shell, destroy=destroy))
            return
        doing = Doing(
            read=reader.read,
            plan=lambda now: make_rollback(now, shell, destroy=destroy),
            progress=Printer(),
        )
        await do_apply(doing)
        stdout.print("The state from before the first apply is restored.")

    _run(work())


def _emit(wanted: GkeOptions, shell: Shell, folder: Path) -> None:
    live = _run(Reader(wanted, shell).read())
    made = make_plan(live, wanted, shell)
    print_diagnostics(made.problems)
    if made.refused or live.release is None:
        raise typer.Exit(1)
    try:
        write_files(folder, emitted(live, live.release, wanted))
    except OSError as error:
        raise fail(f"cannot write to {folder}: {error.strerror}") from None
    stdout.print(f"wrote {folder}; nothing else has been changed.")


def _wanted(wish: Wish, where: Where) -> GkeOptions:
    try:
        return make_options(where.file, {**where.named(), **wish.named()})
    except OptionsError as error:
        raise fail(str(error), 2) from None


def _named(where: Where) -> tuple[str, str]:
    """Return the release and its namespace, from the options or their file."""
    try:
        values = {**(read_file(where.file) if where.file else {}), **{k: v for k, v in where.named().items() if v}}
    except OptionsError as error:
        raise fail(str(error), 2) from None
    return str(values.get("release", "my-release")), str(values.get("namespace", "default"))


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except ApplyError as error:
        print_diagnostics(error.problems)
        raise fail(str(error)) from None
    except (CommandError, NotReadyError, SdkMissingError, UserYamlError, ValueError) as error:
        raise fail(str(error)) from None

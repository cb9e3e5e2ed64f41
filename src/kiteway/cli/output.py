"""How commands report: a table for people, JSON or YAML for programs."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from kiteway.diagnostics import Diagnostic, Severity


class Output(enum.StrEnum):
    """The value of ``--output``."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print the report.")]

stdout = Console(soft_wrap=True, highlight=False)
stderr = Console(stderr=True, soft_wrap=True, highlight=False)

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


def emit(value: Any, output: Output) -> None:
    """Print a plain value (dicts, lists, strings, numbers) as JSON or YAML on standard output."""
    if output is Output.YAML:
        yaml.safe_dump(value, sys.stdout, sort_keys=False, allow_unicode=True)
    else:
        json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")


def fail(message: str, code: int = 1) -> typer.Exit:
    """Print an error and return the exception that ends the command, to be raised."""
    stderr.print(f"[red]error:[/red] {_escape(message)}")
    return typer.Exit(code)


def print_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    """Print diagnostics for people, on standard error."""
    for diagnostic in diagnostics:
        colour = _COLOURS[diagnostic.severity]
        where = f"{diagnostic.position}: " if diagnostic.position else ""
        about = f"{diagnostic.object}: " if diagnostic.object else ""
        field = f"{diagnostic.path}: " if diagnostic.path else ""
        stderr.print(
            f"{_escape(where)}[{colour}]{diagnostic.severity}[/{colour}] [bold]{diagnostic.reason}[/bold]: "
            f"{_escape(about + field + diagnostic.message)}"
        )
        if diagnostic.fix:
            stderr.print(f"    [dim]->[/dim] {_escape(diagnostic.fix)}")


def _escape(text: str) -> str:
    return text.replace("[", r"\[")

"""How commands report: a table for people, JSON or YAML for programs."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer
import yaml

from kiteway.cli.terminal import Part, Terminal, line
from kiteway.diagnostics import Diagnostic, Severity
from kiteway.printable import escaped_in_json, printable


class Output(enum.StrEnum):
    """The value of ``--output``."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print the report.")]

stdout = Terminal(soft_wrap=True, highlight=False)
stderr = Terminal(stderr=True, soft_wrap=True, highlight=False)

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


def emit(value: Any, output: Output) -> None:
    """
    Print a plain value (dicts, lists, strings, numbers) as JSON or YAML on standard output.

    The value is exact; characters that a terminal would obey are written as escapes.
    """
    if output is Output.YAML:
        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
        if any(printable(each) != each for each in text.split("\n")):
            text = yaml.safe_dump(value, sort_keys=False)
        sys.stdout.write(text)
    else:
        sys.stdout.write(escaped_in_json(json.dumps(value, indent=2, ensure_ascii=False)) + "\n")


def fail(message: str, code: int = 1) -> typer.Exit:
    """
    Print an error and return the exception that ends the command, to be raised.

    Further lines of the message, such as the end of a log, are indented.
    """
    first, *others = message.split("\n")
    stderr.print(line(("error:", "red"), f" {first}"))
    for other in others:
        stderr.print(f"  {other}")
    return typer.Exit(code)


def print_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    """Print diagnostics for people, on standard error."""
    for diagnostic in diagnostics:
        where = f"{diagnostic.position}: " if diagnostic.position else ""
        about = f"{diagnostic.object}: " if diagnostic.object else ""
        field = f"{diagnostic.path}: " if diagnostic.path else ""
        severity: Part = (str(diagnostic.severity), _COLOURS[diagnostic.severity])
        reason: Part = (diagnostic.reason, "bold")
        stderr.print(line(where, severity, " ", reason, f": {about}{field}{diagnostic.message}"))
        if diagnostic.fix:
            stderr.print(line("    ", ("->", "dim"), f" {diagnostic.fix}"))

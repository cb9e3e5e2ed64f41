"""The output of commands: a table for people, JSON or YAML for programs."""

from __future__ import annotations

import enum
import json
import signal
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer
import yaml

from kiteway.cli.terminal import Part, Terminal, line
from kiteway.diagnostics import Diagnostic, Severity
from kiteway.printable import escaped_in_json, printable
from kiteway.report.problem import Problem


class Output(enum.StrEnum):
    """The value of ``--output``."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="The format of the report.")]

stdout = Terminal(soft_wrap=True, highlight=False)
stderr = Terminal(stderr=True, soft_wrap=True, highlight=False)

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


def emit(value: Any, output: Output) -> None:
    """
    Print a plain value (dicts, lists, strings, numbers) as JSON or YAML on standard output.

    The value is exact; characters that would control a terminal are written as escapes.
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


def stopped(number: signal.Signals) -> typer.Exit:
    """
    Print that a signal of the user's has ended the command, which is no error; return the exception to be raised.

    The exit status is that of a shell for the signal: 130 for Ctrl-C.
    """
    if stderr.is_terminal:
        stderr.print()  # The terminal has written ^C on this line.
    stderr.print("stopped")
    return typer.Exit(128 + number)


def print_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    """Print diagnostics for people, on standard error."""
    print_problems(map(Problem.of_diagnostic, diagnostics), stderr)


def print_problems(problems: Iterable[Problem], terminal: Terminal) -> None:
    """Print problems for people: the problem, its place, and what to do."""
    for problem in problems:
        where = f"{problem.position}: " if problem.position else ""
        subject = f"{problem.object.ref}: " if problem.object else ""
        field = f"{problem.path}: " if problem.path else ""
        severity: Part = (str(problem.severity), _COLOURS[problem.severity])
        reason: Part = (problem.reason, "bold")
        terminal.print(line(where, severity, " ", reason, f": {subject}{field}{problem.message}"))
        if problem.fix:
            terminal.print(line("    ", ("->", "dim"), f" {problem.fix}"))

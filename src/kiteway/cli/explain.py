"""`kiteway explain`: the meaning of a code in a report."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from kiteway.cli.output import Output, OutputOption, emit, fail, stdout
from kiteway.cli.terminal import line
from kiteway.explanations import alike, explanations


def explain(
    code: Annotated[
        str | None,
        typer.Argument(
            metavar="CODE", help="The code of a diagnostic or of a rule of doctor; without one all are listed."
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """
    Explain the code of a diagnostic or of a doctor rule, and say what to do.

    Exit status: 0 explained, 1 there is no such code, 2 usage error.

    Examples:
    \b
      kiteway explain AllowHttpOpen
      kiteway explain DRAIN_0
      kiteway explain --output json | jq -r '.[].code'
    """
    known = explanations()
    if code is None:
        if output is not Output.TABLE:
            emit([msgspec.to_builtins(each) for each in known.values()], output)
            return
        for each in known.values():
            stdout.print(each.code)
        return
    found = known.get(code) or {name.lower(): each for name, each in known.items()}.get(code.lower())
    if found is None:
        similar = alike(code, known)
        hint = f" Did you mean {' or '.join(similar)}?" if similar else " `kiteway explain` lists all codes."
        raise fail(f"there is no code {code!r}.{hint}")
    if output is not Output.TABLE:
        emit(msgspec.to_builtins(found), output)
        return
    stdout.print(line((found.code, "bold"), f" ({found.kind})"))
    stdout.print()
    for text in found.text.split("\n"):
        stdout.print(text)

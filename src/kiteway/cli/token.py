"""Reads a token for Milvus from a place that other users cannot see."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from kiteway.cli.output import stderr
from kiteway.cli.terminal import line

TOKEN_VARIABLE = "KITEWAY_TOKEN"  # noqa: S105 - the name of a variable, not a token

TokenOption = Annotated[
    str | None, typer.Option(metavar="TOKEN", help=f"user:password or an API key; better by ${TOKEN_VARIABLE}.")
]
TokenFileOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Read the token from the first line of this file.")
]


def read_token(argument: str | None, file: Path | None) -> str | None:
    """
    Return the token of ``--token``, ``--token-file`` or the environment; None if there is none.

    Raises:
        ValueError: the value is invalid; the message says why.
    """
    if argument is not None and file is not None:
        raise ValueError("give the token by --token or by --token-file, not by both")
    if argument is not None:
        seen = (
            " a token on the command line can be seen by every user of this machine in the process list; "
            f"use --token-file or ${TOKEN_VARIABLE}"
        )
        stderr.print(line(("warning:", "yellow"), seen))
        return argument
    if file is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        first_line = file.read_text(encoding="utf-8").partition("\n")[0].strip()
    except OSError as error:
        raise ValueError(f"the token file {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"the token file {file} is not text") from None
    if not first_line:
        raise ValueError(f"the token file {file} has no token in its first line")
    return first_line

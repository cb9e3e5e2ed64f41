"""docs/reference/cli.md: every command, argument and option."""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from kiteway.cli import app
from tools.reference.markdown import GENERATED, code, plain, table

_INTRODUCTION = """
# The command line

`kiteway COMMAND --help` shows the same. Every command that prints a report has `--output table|json|yaml`. Errors are printed
on standard error. Exit status 2 is a usage error.
"""


def render() -> str:
    """Return the page."""
    parts = [GENERATED, _INTRODUCTION]
    for path, command in _commands(typer.main.get_command(app), "kiteway"):
        parts += [f"\n## {path}\n\n", _help(command)]
        arguments = [p for p in command.params if p.param_type_name == "argument" and not getattr(p, "hidden", False)]
        options = [p for p in command.params if p.param_type_name == "option" and not getattr(p, "hidden", False)]
        if arguments:
            rows = [(code(_metavar(p)), plain(p.help or ""), _default(p)) for p in arguments]
            parts += ["\n", table(("Argument", "Meaning", "Default"), rows)]
        if options:
            rows = [(_names(p), plain(p.help or ""), _default(p)) for p in options]
            parts += ["\n", table(("Option", "Meaning", "Default"), rows)]
    return "".join(parts)


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the commands that do something, in the order of the help."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
    for name, one in (inner or {}).items():
        if not one.hidden:
            yield from _commands(one, f"{path} {name}")


def _help(command: Any) -> str:
    """Return the help as Markdown: an example block is kept as it is."""
    blocks: list[str] = []
    text = "\n\n".join(inspect.cleandoc(part) for part in (command.help, command.epilog) if part)
    for block in text.replace("\b\n", "\b").split("\n\n"):
        before, mark, after = block.partition("\b")
        if before.strip():
            blocks.append(_paragraph(before))
        if mark:
            examples = re.sub(r"\s{2,}(?=--)", " \\\\\n    ", inspect.cleandoc(after))
            blocks.append(f"```sh\n{examples}\n```\n")
    return "\n".join(blocks).replace("```\n\n```sh\n", "")


def _paragraph(text: str) -> str:
    stripped = text.strip()
    if stripped.startswith("kiteway "):
        return f"```sh\n{stripped}\n```\n"
    return f"{plain(' '.join(stripped.split()))}\n"


def _names(option: Any) -> str:
    names = ", ".join(code(name) for name in sorted([*option.opts, *option.secondary_opts], key=len))
    return names if option.bare_type() == "bool" else f"{names} {code(_metavar(option))}"


def _metavar(parameter: Any) -> str:
    if parameter.metavar:
        return str(parameter.metavar)
    words = str(parameter.display_type(None)).strip("<>").removesuffix(" range")
    return words if "|" in words else words.upper()


def _default(parameter: Any) -> str:
    shown = getattr(parameter, "show_default", True)
    if isinstance(shown, str):
        return code(shown)
    if parameter.required:
        return "*required*"
    default = parameter.default
    if default is None or default is False or callable(default) or default == ():
        return ""
    if isinstance(default, enum.Enum):
        default = default.value
    return code("on" if default is True else f"{default:g}" if isinstance(default, float) else str(default))

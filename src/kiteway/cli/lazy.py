"""Imports a command's module only when the command is used, so that no command waits for another one's imports."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from kiteway.instance import InstanceError

# Each name is a module of this package. The module has a function of the same name or, for a group, a Typer named
# `app`.
NAMES = ("demo", "up", "controller", "plan", "status", "top", "doctor", "explain", "verify", "cert", "gke")


class _Commands(MutableMapping[str, Any]):
    """The commands by name, in the order of the help; other keys than `NAMES` are set as in any dictionary."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = dict.fromkeys(NAMES)

    def __getitem__(self, name: str) -> Any:
        command = self._loaded[name]
        if command is None:
            command = self._loaded[name] = _load(name)
        return command

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded)

    def __len__(self) -> int:
        return len(self._loaded)


class LazyGroup(TyperGroup):
    """A group whose commands are imported one by one."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        self.commands = _Commands()

    def invoke(self, ctx: Any) -> Any:
        """Run the command; for every command, a data directory that cannot be used is an error with one sentence."""
        try:
            return super().invoke(ctx)
        except InstanceError as error:
            from kiteway.cli.output import fail

            raise fail(str(error)) from error


def _load(name: str) -> Any:
    module = import_module(f"kiteway.cli.{name}")
    command: Any
    if app := getattr(module, "app", None):
        command = typer.main.get_group(app)
    else:
        alone = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_show_locals=False)
        alone.command()(getattr(module, name))
        command = typer.main.get_command(alone)
    command.name = name
    return command

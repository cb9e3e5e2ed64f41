"""Imports a command's module only when the command is used, so that no command waits for the imports of others."""

from __future__ import annotations

import signal
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from kiteway.cli.bad_values import in_plain_words
from kiteway.instance import InstanceError

# Each name is a module of this package. The module has a function of the same name or, for a group, a Typer named
# `app`.
SUMMARIES = {
    "demo": "Run the whole guide on this machine: Milvus, certificate, manifests, balancer, verification.",
    "up": "Run the balancer on this machine until Ctrl-C.",
    "controller": "Run the balancer of a Kubernetes cluster until SIGTERM or Ctrl-C.",
    "plan": "Show the meaning of manifests and everything that is wrong with them.",
    "status": "Show the state of the running instance: listeners, hosts, endpoints, certificates, and what is wrong.",
    "top": "Show a live table of calls by collection, rpc, user or endpoint.",
    "doctor": "Find what is wrong with manifests, a live address, a live cluster or this machine, and say what to do.",
    "explain": "Explain the code of a diagnostic or of a doctor rule, and say what to do.",
    "verify": "Verify a Milvus through its balancer, as the guide does, with PyMilvus.",
    "cert": "Create and show certificates.",
    "gke": "Set up a Layer-7 balancer for a Milvus on GKE.",
}
"""The first sentence of each command's help, in the order of the help of `kiteway`, which therefore imports no command."""


class _Commands(MutableMapping[str, Any]):
    """The commands by name, in the order of the help; other keys than those of `SUMMARIES` are set as in any dictionary."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = dict.fromkeys(SUMMARIES)

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

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """List the commands by their summaries alone."""
        loaded, self.commands = (
            self.commands,
            {name: TyperCommand(name, help=summary, rich_markup_mode="rich") for name, summary in SUMMARIES.items()},
        )
        try:
            super().format_help(ctx, formatter)
        finally:
            self.commands = loaded

    def invoke(self, ctx: Any) -> Any:
        """
        Run the command.

        For every command, a data directory that cannot be used is an error with one sentence, and so is a wrong value of an
        option; Ctrl-C is no error.
        """
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            in_plain_words(error)
            raise
        except KeyboardInterrupt:
            from kiteway.cli.output import stopped

            raise stopped(signal.SIGINT) from None
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
    for each in (command, *getattr(command, "commands", {}).values()):
        _fold_help(each)
        _leave_out_hidden(each)
    return command


def _fold_help(command: Any) -> None:
    """Let the help of a command go on in the next line where a word is wider than its column; Typer would cut the word."""
    plain = command.format_help

    def format_help(ctx: Any, formatter: Any) -> None:
        from typer import rich_utils

        from kiteway.cli.terminal import FoldingColumns, FoldingTable

        rich_utils.Table = FoldingTable  # type: ignore[attr-defined]
        rich_utils.Columns = FoldingColumns  # type: ignore[attr-defined]
        plain(ctx, formatter)

    command.format_help = format_help


def _leave_out_hidden(command: Any) -> None:
    """Leave hidden arguments out of the usage line, too; they exist only to explain a mistake."""
    for each in command.params:
        if getattr(each, "hidden", False):
            each.get_usage_pieces = lambda _: []

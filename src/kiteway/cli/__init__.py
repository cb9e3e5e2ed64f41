"""The command line: one file a command; parsing and printing only."""

from __future__ import annotations

import gc
from typing import Annotated

import typer

from kiteway import __version__
from kiteway.cli.lazy import LazyGroup

app = typer.Typer(
    name="kiteway",
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    pretty_exceptions_show_locals=False,
)


def _version(value: bool) -> None:  # noqa: FBT001 - typer calls it so
    if value:
        typer.echo(f"kiteway {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    *,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """
    Kiteway, the Layer-7 load balancer for Milvus.

    It reads the manifests of the guide "Set up a Layer-7 Load Balancer for Milvus on GCP" and makes them
    work on this machine and on any Kubernetes cluster.
    """


def main() -> None:
    """Run the command line."""
    try:
        app()
    finally:
        # Otherwise Python's last garbage collections take 0.2 s, in which Ctrl-C seems to do nothing.
        gc.freeze()

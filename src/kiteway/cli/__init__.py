"""The command line: one file a command; parsing and printing only."""

from __future__ import annotations

from typing import Annotated

import typer

from kiteway import __version__
from kiteway.cli import cert, gke
from kiteway.cli.controller import controller
from kiteway.cli.demo import demo
from kiteway.cli.doctor import doctor
from kiteway.cli.plan import plan
from kiteway.cli.status import status
from kiteway.cli.up import up
from kiteway.cli.verify import verify

app = typer.Typer(
    name="kiteway",
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

    It reads the manifests of the guide "Set up a Layer-7 Load Balancer for Milvus on GCP" and makes them work here.
    """


app.command("demo")(demo)
app.command("up")(up)
app.command("controller")(controller)
app.command("plan")(plan)
app.command("status")(status)
app.command("doctor")(doctor)
app.command("verify")(verify)
app.add_typer(cert.app, name="cert")
app.add_typer(gke.app, name="gke")


def main() -> None:
    """Run the command line."""
    app()

"""The options that `kiteway up` and `kiteway controller` share."""

from __future__ import annotations

from typing import Annotated

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from kiteway.cli import app
from kiteway.cli.balancer import BalancerOptions, with_balancer_options


def test_each_command_takes_every_shared_option() -> None:
    """Both commands that run a balancer have an option for every field, with one default."""
    commands = get_command(app).commands  # type: ignore[attr-defined]
    of = {name: {p.name: p.default for p in commands[name].params} for name in ("up", "controller")}

    for field in BalancerOptions.__dataclass_fields__.values():
        assert of["up"][field.name] == of["controller"][field.name] == field.default


def test_what_is_given_arrives() -> None:
    """Shared and own options stand beside each other on the command line, and each arrives where it belongs."""
    seen: list[tuple[BalancerOptions, str]] = []

    @with_balancer_options
    def command(*, options: BalancerOptions, own: Annotated[str, typer.Option("--own")] = "") -> None:
        seen.append((options, own))

    one = typer.Typer()
    one.command()(command)
    done = CliRunner().invoke(one, ["--own", "x", "--https-port", "9443", "--ssl-policy", "p=MODERN"])

    assert done.exit_code == 0, done.output
    assert seen == [(BalancerOptions(https_port=9443, ssl_policy=["p=MODERN"]), "x")]


@pytest.mark.parametrize("command", ["up", "controller"])
def test_a_mistake_is_said_by_both(command: str) -> None:
    """A shared option that cannot be read ends either command with status 2 and the sentence."""
    own = {"up": ["--to", "127.0.0.1:1"], "controller": []}[command]
    done = CliRunner().invoke(app, [command, *own, "--ssl-policy", "nonsense"])

    assert done.exit_code == 2
    assert '"nonsense" is not NAME=PROFILE' in done.output

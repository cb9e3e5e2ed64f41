"""The options that `kiteway up` and `kiteway controller` share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from kiteway.cli import app
from kiteway.cli.balancer import BalancerOptions, with_balancer_options
from kiteway.instance import Instance


def test_each_command_takes_every_shared_option() -> None:
    """Both commands that run a balancer have an option for every field, with one default."""
    commands = get_command(app).commands  # type: ignore[attr-defined]
    of = {name: {p.name: p.default for p in commands[name].params} for name in ("up", "controller")}

    for field in BalancerOptions.__dataclass_fields__.values():
        assert of["up"][field.name] == of["controller"][field.name] == field.default


def test_given_options_take_effect() -> None:
    """Shared and own options can be combined on the command line, and each has its effect."""
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
def test_both_commands_report_a_mistake(command: str) -> None:
    """An invalid shared option ends either command with status 2 and a sentence."""
    own = {"up": ["--to", "127.0.0.1:1"], "controller": []}[command]
    done = CliRunner().invoke(app, [command, *own, "--ssl-policy", "nonsense"])

    assert done.exit_code == 2
    assert '"nonsense" is not NAME=PROFILE' in done.output


def test_a_cache_without_the_filter_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the mistake would be seen only in `kiteway status`."""
    monkeypatch.setenv("KITEWAY_FILTER_PATH", "/nonexistent.so")
    done = CliRunner().invoke(app, ["up", "--to", "127.0.0.1:1", "--cache"])

    assert done.exit_code == 2
    assert "--cache needs Kiteway's filter: KITEWAY_FILTER_PATH names /nonexistent.so" in done.output


def test_an_instance_does_not_replace_itself(tmp_path: Path) -> None:
    """It would wait for itself."""
    with pytest.raises(ValueError, match="own data directory"):
        BalancerOptions(replace=tmp_path).predecessor(Instance(tmp_path))


def test_a_predecessor_that_is_gone_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A script may name an instance that has just ended; the command prints a note."""
    assert BalancerOptions(replace=tmp_path / "gone").predecessor(Instance(tmp_path / "own")) is None
    assert "there is nothing to replace" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to be another user")
def test_another_users_instance_is_not_replaced(tmp_path: Path) -> None:
    """The kernel lets no two users share a port; and whoever may change the folder chooses which process is told to stop."""
    old = Instance(tmp_path / "old")
    with old.acquire():
        os.chown(old.data_dir, 65534, 65534)
        with pytest.raises(ValueError, match="is another user's"):
            BalancerOptions(replace=old.data_dir).predecessor(Instance(tmp_path / "own"))


def test_the_page_of_a_demo_is_for_this_machine() -> None:
    """The message names no option that `demo` lacks."""
    done = CliRunner().invoke(app, ["demo", "--dashboard", "0.0.0.0:9090"])

    assert done.exit_code == 2
    assert "give a loopback address, e.g. 127.0.0.1:9090" in " ".join(done.output.split())
    assert "--dashboard-token-file" not in done.output


def test_a_target_or_a_path_without_its_option_is_explained(tmp_path: Path) -> None:
    """The message has the command that was meant."""
    done = CliRunner().invoke(app, ["up", "localhost:19530", str(tmp_path)])

    assert done.exit_code == 2
    assert f"kiteway up --to localhost:19530 -f {tmp_path}" in " ".join(done.output.split())


@pytest.mark.parametrize("command", ["up", "plan"])
def test_the_usage_names_no_argument_that_is_a_mistake(command: str) -> None:
    """Both take one only to explain which option was forgotten."""
    done = CliRunner().invoke(app, [command, "--help"])

    assert f"Usage: kiteway {command} [OPTIONS] " in done.output.replace("\n", " ")
    assert "]..." not in done.output

"""A command that a signal of the user's ends says so without an error; a child that a signal killed is an error."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kiteway.cli import app
from kiteway.demo.run import StoppedError
from kiteway.milvus.embedded import MilvusStartError


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "stopped"),
        (StoppedError(signal.SIGINT), 130, "stopped"),
        (asyncio.CancelledError(), 143, "stopped"),
        (MilvusStartError("Milvus was killed by SIGKILL."), 1, "error: Milvus was killed by SIGKILL."),
    ],
)
def test_the_end_of_a_demo_that_starts(
    raised: BaseException, code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what the user did not ask for is an error."""

    async def run(*_: object) -> None:
        raise raised

    monkeypatch.setattr("kiteway.cli.demo.run", run)
    done = CliRunner().invoke(app, ["demo", "--data-dir", str(tmp_path / "d")])
    assert done.exit_code == code
    assert done.stderr.splitlines() == [said]


def test_ctrl_c_at_any_other_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a command looks at its options, too."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kiteway.cli.up.parse_targets", interrupted)
    done = CliRunner().invoke(app, ["up", "--to", "localhost:19530"])
    assert done.exit_code == 130
    assert done.stderr.splitlines() == ["stopped"]

"""Running commands."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kiteway.gke.run import CommandError, output
from kiteway.gke.step import Command
from tests.support.kiteway import wait_until

FEED = b"x" * 300_000

_PARENT = """
import asyncio, os, signal, sys
from kiteway.gke import run
from kiteway.gke.step import Command

started = asyncio.create_subprocess_exec

async def start_and_die(*arguments, **options):
    process = await started(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
    return process

asyncio.create_subprocess_exec = start_and_die
asyncio.run(run.run(Command(tuple(sys.argv[1:]), lambda: b"x" * 300_000)))
"""


def test_a_command_reads_its_input() -> None:
    """The input arrives completely, whatever its size."""
    assert asyncio.run(output(Command(("wc", "-c"), lambda: FEED))).split() == [str(len(FEED))]


def test_a_command_reads_its_whole_input_when_we_are_killed(tmp_path: Path) -> None:
    """
    After a kill -9 right after the start the command still gets all its input: half of the values would ruin
    a release.
    """
    got = tmp_path / "got"
    command = ["sh", "-c", f"cat > {got}.part && mv {got}.part {got}"]
    done = subprocess.run([sys.executable, "-c", _PARENT, *command], check=False)
    assert done.returncode == -signal.SIGKILL
    wait_until(got.exists, "the command has ended")
    assert got.read_bytes() == FEED


def test_a_failure_quotes_the_programs_error() -> None:
    """The error has the command and its error output."""
    with pytest.raises(CommandError, match=r"`sh -c 'echo no >&2; exit 3'` failed: no"):
        asyncio.run(output(Command(("sh", "-c", "echo no >&2; exit 3"))))


def test_a_missing_program_is_reported() -> None:
    """A missing program is a sentence, not a traceback."""
    with pytest.raises(CommandError, match="nosuchprogram cannot be started"):
        asyncio.run(output(Command(("nosuchprogram",))))

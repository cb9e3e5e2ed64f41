"""Running commands: never through a shell, secrets only on standard input."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal

from kiteway.gke.step import Command

_READ_SECONDS = 60.0
_WRITE_SECONDS = 900.0
_QUOTED = 2000
"""Characters of a program's complaint that are kept."""


class CommandError(Exception):
    """
    A command failed.

    Attributes:
        command: which.
        output: what it said on standard error.
    """

    def __init__(self, command: Command, output: str) -> None:
        super().__init__(f"`{command}` failed: {output or 'it said nothing'}")
        self.command = command
        self.output = output


def found(program: str) -> bool:
    """Tell whether a program is there."""
    return shutil.which(program) is not None


async def output(command: Command) -> str:
    """
    Run a command that only reads.

    Raises:
        CommandError: it failed, is not installed, or took longer than a minute.
    """
    return await _run(command, _READ_SECONDS)


async def run(command: Command) -> str:
    """
    Run a command that may write; it is not killed with us, so that Helm never stops half way.

    Raises:
        CommandError: it failed, is not installed, or took longer than a quarter of an hour.
    """
    return await _run(command, _WRITE_SECONDS)


async def _run(command: Command, seconds: float) -> str:
    feed = command.stdin() if command.stdin else None
    try:
        process = await asyncio.create_subprocess_exec(
            *command.argv,
            stdin=asyncio.subprocess.PIPE if feed is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandError(command, f"{command.argv[0]} cannot be started: {error.strerror}.") from None
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate(feed)
    except TimeoutError:
        _end(process)
        raise CommandError(command, f"no end after {seconds:g} s") from None
    except asyncio.CancelledError:
        # Ctrl-C is for us: what the command has begun it may end by itself.
        raise
    if process.returncode != 0:
        raise CommandError(command, err.decode(errors="replace").strip()[-_QUOTED:])
    return out.decode(errors="replace")


def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGTERM)

"""Running commands: never through a shell, secrets only on standard input."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from typing import IO

from kiteway.gke.step import Command

_READ_SECONDS = 60.0
_WRITE_SECONDS = 900.0
_QUOTED = 2000
"""The most characters of a program's error output that are reported."""


class CommandError(Exception):
    """
    A command failed.

    Attributes:
        command: the command.
        output: its standard error.
    """

    def __init__(self, command: Command, output: str) -> None:
        super().__init__(f"`{command}` failed: {output or 'it printed nothing'}")
        self.command = command
        self.output = output


def found(program: str) -> bool:
    """Return whether a program is installed."""
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
    Run a command that may write; it survives the end of this process, so that Helm is never interrupted.

    Raises:
        CommandError: it failed, is not installed, or took longer than a quarter of an hour.
    """
    return await _run(command, _WRITE_SECONDS)


async def _run(command: Command, seconds: float) -> str:
    with _stdin(command.stdin() if command.stdin else b"") as stdin:
        try:
            process = await asyncio.create_subprocess_exec(
                *command.argv,
                stdin=stdin,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise CommandError(command, f"{command.argv[0]} cannot be started: {error.strerror}.") from None
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    except TimeoutError:
        _end(process)
        raise CommandError(command, f"not finished after {seconds:g} s") from None
    if process.returncode != 0:
        raise CommandError(command, err.decode(errors="replace").strip()[-_QUOTED:])
    return out.decode(errors="replace")


def _stdin(feed: bytes) -> IO[bytes]:
    """
    Return an unnamed file with the whole input, written before the command starts.

    Through a pipe, a command whose parent is killed meanwhile would read an early end of file, which Helm would take for
    a release without values.
    """
    file: IO[bytes]
    if hasattr(os, "memfd_create"):
        file = os.fdopen(os.memfd_create("stdin", os.MFD_CLOEXEC), "w+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    file.write(feed)
    file.seek(0)
    return file


def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGTERM)

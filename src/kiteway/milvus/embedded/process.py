"""One child process that never outlives its parent; no process of its group is left when it stops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from kiteway.milvus.embedded import tether
from kiteway.netns import NetworkNamespace
from kiteway.ownership import open_own


class ChildProcess:
    """A running program: leader of its own process group, killed when this process ends.

    Linux kills it when the thread that called `start` ends. Keep that thread (the event loop's)
    alive as long as the child should run.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Wrap a process that leads its own group; use `start`."""
        self._process = process
        self._ended = asyncio.create_task(self._end_of_group())

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        console: Path,
        netns: NetworkNamespace | None = None,
    ) -> Self:
        """Start `argv` with exactly `env`, its output appended to the file `console`, whose directory is made.

        Raises:
            OSError: the program or a directory is missing.
        """
        prefix: tuple[str, ...] = ()
        if sys.platform == "linux":
            prefix = (sys.executable, "-I", "-S", tether.__file__, str(os.getpid()))
        if netns is not None:
            prefix += netns.command_prefix
        output = _open_console(console)
        try:
            process = await asyncio.create_subprocess_exec(
                *prefix,
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )
        finally:
            os.close(output)
        return cls(process)

    @property
    def pid(self) -> int:
        """The process id, which is also its process group's."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process; nothing happens when it has ended."""
        if self.returncode is None:
            self._process.send_signal(number)

    async def wait(self) -> int:
        """Wait for the end and return the exit status."""
        return await asyncio.shield(self._ended)

    async def stop(self, grace: float, number: signal.Signals = signal.SIGTERM) -> None:
        """Send SIGTERM, wait `grace` seconds, then kill the whole group. Idempotent."""
        self.send_signal(number)
        self.send_signal(signal.SIGCONT)  # a stopped process does not handle SIGTERM
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self.wait()
        finally:
            if self.returncode is None:
                self._kill_group()
        await self.wait()

    async def _end_of_group(self) -> int:
        status = await self._process.wait()
        # Processes that it forked are in the group. Not later: the kernel gives the number to another group.
        self._kill_group()
        return status

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def _open_console(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return open_own(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

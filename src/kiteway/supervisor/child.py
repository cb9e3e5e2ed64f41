"""A child process: its specification, its start and the detection of its end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

from kiteway.supervisor.pulse import Pulse
from kiteway.supervisor.waiting_room import Look

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class ChildSpec:
    """
    A child.

    Attributes:
        name: unique among the children; the prefix of its lines on stderr.
        argv: the command; without secrets, as every user of the machine can read it.
        env: its whole environment.
        log: the file for its output, rotated; None for standard error, each line after the name.
        drain: lets it finish its work before it is stopped; returns when it has none left.
        drain_seconds: the longest time for ``drain``.
        stop_seconds: seconds from SIGTERM to SIGKILL.
        pulse: how to check that it answers; None: it is not checked.
        look: returns the addresses that it listens on; while it is restarted, connections to them wait. None: they are refused.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    log: Path | None = None
    drain: Callable[[], Awaitable[None]] | None = None
    drain_seconds: float = 0.0
    stop_seconds: float = 5.0
    pulse: Pulse | None = None
    look: Look | None = None


def spawn(spec: ChildSpec) -> subprocess.Popen[bytes]:
    """
    Start ``spec`` in a separate session, so that the terminal's Ctrl-C reaches only the supervisor.

    On Linux the kernel kills the child when the *thread* that started it ends, so only the main thread may call this.

    Raises:
        OSError: it cannot be executed.
    """
    return subprocess.Popen(
        spec.argv,
        env=dict(spec.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_DieWithParent() if _libc else None,  # noqa: PLW1509 - see _DieWithParent
    )


class _DieWithParent:
    """
    Runs between fork and exec: one system call and a comparison, without locks.

    The kernel drops the setting when a file with capabilities or a set-user-id bit is executed (prctl(2)).
    """

    def __init__(self) -> None:
        self._parent = os.getpid()

    def __call__(self) -> None:
        assert _libc is not None  # noqa: S101
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != self._parent:  # the parent ended before the call
            os._exit(1)


def exit_reason(returncode: int) -> str:
    """Return a return code of `subprocess` in words."""
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return f"killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"killed by signal {-returncode}"


class Reaper:
    """
    Detects the end of children, by SIGCHLD.

    As process 1 of a container it also reaps the orphans, which the kernel makes its children. Otherwise it touches no
    process that it does not watch.
    """

    def __init__(self) -> None:
        self._watched: dict[int, tuple[subprocess.Popen[bytes], asyncio.Future[int]]] = {}
        self._is_init = os.getpid() == 1

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)

    def watch(self, process: subprocess.Popen[bytes]) -> asyncio.Future[int]:
        """Return the future return code of ``process``."""
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._watched[process.pid] = (process, ended)
        self._reap()
        return ended

    def _reap(self) -> None:
        for pid, (process, ended) in list(self._watched.items()):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            # Its own children are killed with it. Before its status is collected, no other process can have its id.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            del self._watched[pid]
            if not ended.done():
                ended.set_result(process.wait())
        if self._is_init:
            self._reap_orphans()

    def _reap_orphans(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                # WNOWAIT leaves the status: that of a watched child is for its Popen.
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is None or ended.si_pid in self._watched:
                    return
                os.waitpid(ended.si_pid, 0)


def output(process: subprocess.Popen[bytes]) -> IO[bytes]:
    """Return the pipe that carries the output of ``process``."""
    assert process.stdout is not None  # noqa: S101 - spawn asks for a pipe
    return process.stdout

"""Run a command that the kernel kills when its parent dies, even by SIGKILL (Linux).

Usage: `python tether.py PARENT_PID PROGRAM ARGUMENT...`. The program replaces this process by exec, so its pid is the
one that was started. This is a separate program and not a `preexec_fn`, because Python code between fork and exec can
deadlock a process that has threads. The kernel sends the signal when the parent's *thread* that started the child ends:
the thread that runs the event loop.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import NoReturn

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(parent: int, command: list[str]) -> NoReturn:
    """Set the parent-death signal, check that the parent still runs, and execute the command."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"cannot tie {command[0]} to its parent: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        sys.exit(f"{command[0]} was not started: its parent {parent} is gone")
    os.execvp(command[0], command)  # noqa: S606 (becoming the program is what this file is for)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])

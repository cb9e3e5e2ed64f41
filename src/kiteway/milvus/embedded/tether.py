"""Run a command that the kernel kills when its parent dies, even by SIGKILL (Linux).

Usage: `python tether.py PARENT_PID PROGRAM ARGUMENT...`. The program takes over this
process, so its pid is the one that was started. It is a program of its own, not a
`preexec_fn`, because running Python between fork and exec can deadlock a process that has
threads. The kernel ties the signal to the parent's *thread*: the one that runs the event
loop.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import NoReturn

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(parent: int, command: list[str]) -> NoReturn:
    """Set the death signal, make sure the parent is still there, become the command."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"cannot tie {command[0]} to its parent: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        sys.exit(f"{command[0]} was not started: its parent {parent} is gone")
    os.execvp(command[0], command)  # noqa: S606 (becoming the program is what this file is for)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])

"""CPU time of other processes."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

# The clock id of another process's CPU time (clock_getcpuclockid(3)): user and system of all its threads, ended ones
# included. utime and stime of /proc/PID/stat are the same sum, but in ticks of 10 ms: too coarse for a short block.
_CPUCLOCK_SCHED = 2


def cpu_seconds(pid: int) -> float:
    """
    Return the CPU time that the process has used so far.

    Raises:
        ProcessLookupError: there is no such process.
    """
    try:
        return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)
    except OSError as error:
        raise ProcessLookupError(f"no process {pid}") from error


def main_thread_seconds(pid: int) -> float:
    """
    Return the CPU time that the main thread of the process has used so far.

    Raises:
        ProcessLookupError: there is no such process.
    """
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError as error:
        raise ProcessLookupError(f"no process {pid}") from error


class CpuMeter:
    """The CPU time that some processes use after the meter was made."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._start = {pid: cpu_seconds(pid) for pid in pids}

    def seconds(self) -> float:
        """
        Return the CPU time used since this meter was made.

        Raises:
            ProcessLookupError: a process has ended meanwhile, so the sum would be wrong.
        """
        return sum(cpu_seconds(pid) - start for pid, start in self._start.items())


def tree(root: int) -> dict[int, str]:
    """Return the process ``root`` and all its descendants: pid to program name."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue  # ended meanwhile
        pid = int(entry.name)
        names[pid] = stat[stat.index("(") + 1 : stat.rindex(")")]
        parents[pid] = int(stat[stat.rindex(")") + 2 :].split()[1])
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: names[pid] for pid in found if pid in names}

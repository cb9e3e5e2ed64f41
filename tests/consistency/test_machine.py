"""What ``make check-consistency`` changes in Kiteway's Envoy."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.consistency.machine import Machine, planted_bugs

_CLOCKS = "import time; print(time.monotonic_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME))"


def test_the_list_of_planted_bugs() -> None:
    """It is read from the filter's source."""
    assert {"label_is_now", "clock_without_suspend"} <= set(planted_bugs())


@pytest.mark.skipif(shutil.which("rustc") is None, reason="rustc is not installed")
def test_a_suspended_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the two clocks only one counts the time, before and after."""
    monkeypatch.setattr("tests.consistency.machine.find_envoy", lambda: Path(sys.executable))
    machine = Machine(tmp_path)
    before = _difference(machine)
    with subprocess.Popen([machine.envoy, "-c", "input()"], stdin=subprocess.PIPE) as process:
        asyncio.run(machine.suspend(process.pid, 0.5))
    assert _difference(machine) - before == pytest.approx(5e8, abs=1e7)


def _difference(machine: Machine) -> int:
    """Return by how many nanoseconds one clock is ahead of the other."""
    monotonic, boot = subprocess.check_output([machine.envoy, "-c", _CLOCKS], text=True).split()
    return int(boot) - int(monotonic)

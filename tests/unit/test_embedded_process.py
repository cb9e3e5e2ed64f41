"""A child process ends on request, by force, and when its parent ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kiteway.milvus.embedded.process import ChildProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and needs the parent-death signal")

DEAF = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child:
    print(child, flush=True)
while True:
    time.sleep(60)
"""


def state(pid: int) -> str:
    """Return the kernel's letter for a process's state (T: stopped, Z: zombie), nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def alive(pid: int) -> bool:
    """Say whether a process exists and is not a zombie."""
    return state(pid) not in {"", "Z"}


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait, at most a minute, until a condition holds; say whether it does."""
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def first_word(console: Path) -> str:
    """Wait for the first line of a program's output."""
    assert eventually(lambda: console.exists() and console.read_text().endswith("\n"))
    return console.read_text().split()[0]


async def start(tmp_path: Path, code: str) -> ChildProcess:
    """Start a Python program as a child."""
    return await ChildProcess.start(
        (sys.executable, "-c", code), env={"MARK": "1"}, cwd=tmp_path, console=tmp_path / "logs" / "console"
    )


def test_a_deaf_process_and_its_fork_are_killed(tmp_path: Path) -> None:
    """A process that ignores SIGTERM is killed after the grace time, with its child processes."""

    async def scenario() -> None:
        child = await start(tmp_path, DEAF)
        forked = int(first_word(tmp_path / "logs" / "console"))
        assert alive(forked)
        await child.stop(grace=0.1)
        assert child.returncode == -signal.SIGKILL
        assert eventually(lambda: not alive(forked))
        await child.stop(grace=0.1)  # a second stop is harmless

    asyncio.run(scenario())


def test_a_process_that_has_ended_is_not_signalled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a process has ended, a stop sends no signal: its number may be that of another process group by then."""
    killed: list[int] = []

    async def scenario() -> None:
        child = await start(tmp_path, "")
        assert await child.wait() == 0
        monkeypatch.setattr(os, "killpg", lambda group, _: killed.append(group))
        await child.stop(grace=0.1)

    asyncio.run(scenario())
    assert killed == []


def test_forks_end_with_their_parent(tmp_path: Path) -> None:
    """When a process ends by itself, the processes that it forked are killed."""

    async def scenario() -> None:
        child = await start(tmp_path, "import os, signal; (pid := os.fork()) or signal.pause(); print(pid, flush=True)")
        forked = int(first_word(tmp_path / "logs" / "console"))
        assert await child.wait() == 0
        assert eventually(lambda: not alive(forked))

    asyncio.run(scenario())


def test_a_paused_process_is_stopped_politely(tmp_path: Path) -> None:
    """A process under SIGSTOP still ends by SIGTERM, without SIGKILL."""

    async def scenario() -> None:
        child = await start(tmp_path, "import signal; print('up', flush=True); signal.pause()")
        first_word(tmp_path / "logs" / "console")
        child.send_signal(signal.SIGSTOP)
        assert eventually(lambda: state(child.pid) == "T")
        await child.stop(grace=10)
        assert child.returncode == -signal.SIGTERM

    asyncio.run(scenario())


def test_the_environment_is_exactly_what_was_given(tmp_path: Path) -> None:
    """The child does not inherit the parent's environment: Milvus would read settings from it."""

    async def scenario() -> str:
        child = await start(tmp_path, "import os; print(','.join(sorted(os.environ)), flush=True)")
        assert await child.wait() == 0
        return first_word(tmp_path / "logs" / "console")

    # LC_CTYPE is what Python itself adds in the C locale.
    assert set(asyncio.run(scenario()).split(",")) - {"LC_CTYPE"} == {"MARK"}


def test_kill_9_of_the_parent_takes_the_child_along(tmp_path: Path) -> None:
    """When the parent is killed with SIGKILL, the kernel kills the child: no process is left."""
    program = textwrap.dedent(f"""
        import asyncio, sys
        from pathlib import Path
        from kiteway.milvus.embedded.process import ChildProcess

        async def main():
            child = await ChildProcess.start(
                (sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True); signal.pause()"),
                env={{}}, cwd=Path({str(tmp_path)!r}), console=Path({str(tmp_path)!r}) / "console")
            print(child.pid, flush=True)
            await child.wait()

        asyncio.run(main())
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert first_word(tmp_path / "console") == "up"
        os.kill(parent.pid, signal.SIGKILL)
    assert eventually(lambda: not alive(pid))

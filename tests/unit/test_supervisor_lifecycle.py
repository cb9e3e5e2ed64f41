"""The supervisor with small scripts as children."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kiteway.instance import Instance
from kiteway.supervisor import ChildEvent, ChildSpec, read_state
from tests.support.supervising import SLEEP, STUBBORN, Watch, alive, child, first_line, supervise, wait_for


def test_started_in_order_stopped_in_reverse(tmp_path: Path) -> None:
    """The first child runs as long as the second."""

    async def act(watch: Watch) -> None:
        await watch.until("b", "started")
        assert watch.state().phase == "running"
        assert watch.state().pid == os.getpid()

    watch = supervise([child("a", SLEEP, tmp_path), child("b", SLEEP, tmp_path)], tmp_path, act)
    assert watch.seen() == [
        ("a", "started"),
        ("b", "started"),
        ("b", "stopping"),
        ("b", "stopped"),
        ("a", "stopping"),
        ("a", "stopped"),
    ]


def test_dead_child_alone_is_started_again(tmp_path: Path) -> None:
    """After a kill -9 of one child only that one restarts, and the reason is recorded."""

    async def act(watch: Watch) -> None:
        await watch.until("a", "started")
        await watch.until("b", "started")
        other, victim = watch.pid("a"), watch.pid("b")
        os.kill(victim, signal.SIGKILL)
        await watch.until("b", "started", 2)
        children = watch.state().children
        assert (children["b"].restarts, children["b"].last_exit) == (1, "killed by SIGKILL")
        assert (children["a"].restarts, children["a"].last_exit, children["a"].pid) == (0, "", other)
        assert children["b"].pid not in (victim, None)

    supervise([child("a", SLEEP, tmp_path), child("b", SLEEP, tmp_path)], tmp_path, act)


def test_child_that_keeps_dying_is_tried_less_and_less(tmp_path: Path) -> None:
    """Each failure is reported with its reason and the time of the next start; the wait doubles."""

    async def act(watch: Watch) -> None:
        await watch.until("a", "failed", 4)

    watch = supervise([child("a", "raise SystemExit(3)", tmp_path)], tmp_path, act)
    failures = [event.detail for event in watch.events if event.what == "failed"]
    assert failures[:4] == [f"exit status 3; next start in {delay} s" for delay in ("0.1", "0.2", "0.4", "0.8")]


def test_command_that_cannot_run_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    """A missing binary does not end the supervisor; the start is retried, and the reason names the binary."""

    async def act(watch: Watch) -> None:
        await watch.until("a", "failed", 2)

    watch = supervise([ChildSpec("a", ("/nonexistent/envoy",), {})], tmp_path, act)
    assert watch.events[0].detail.startswith("cannot start /nonexistent/envoy: No such file or directory")


def test_output_is_in_the_log(tmp_path: Path) -> None:
    """The log has stdout and stderr of a child, to the last byte."""
    script = "import sys; print('out', flush=True); sys.stderr.write('err'); sys.stderr.flush(); raise SystemExit(1)"

    async def act(watch: Watch) -> None:
        await watch.until("a", "failed")

    supervise([child("a", script, tmp_path)], tmp_path, act)
    assert (tmp_path / "a.log").read_bytes().startswith(b"out\nerr\n")


def test_stubborn_child_is_killed(tmp_path: Path) -> None:
    """A child that ignores SIGTERM gets SIGKILL after its time, and no process of it is left."""

    async def act(watch: Watch) -> None:
        await watch.until("a", "started")
        await asyncio.to_thread(first_line, tmp_path / "a.log")

    watch = supervise([child("a", STUBBORN, tmp_path, stop_seconds=0.1)], tmp_path, act)
    assert watch.seen()[1:] == [("a", "stopping"), ("a", "killed"), ("a", "stopped")]
    assert watch.events[-1].detail == "killed by SIGKILL"


def test_grandchildren_go_with_the_child(tmp_path: Path) -> None:
    """A process that a child started in its session ends with the child."""
    script = f"import subprocess, sys\np = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])\nprint(p.pid, flush=True)\n{SLEEP}"
    grandchildren: list[int] = []

    async def act(watch: Watch) -> None:
        await watch.until("a", "started")
        grandchildren.append(int(await asyncio.to_thread(first_line, tmp_path / "a.log")))
        assert alive(grandchildren[0])

    supervise([child("a", script, tmp_path)], tmp_path, act)
    wait_for(lambda: not alive(grandchildren[0]))


def test_drain_comes_before_the_end_and_is_cut_by_its_time(tmp_path: Path) -> None:
    """A drain that does not end is stopped after drain_seconds; then the child is stopped as usual."""
    cancelled = []

    async def drain() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def act(watch: Watch) -> None:
        await watch.until("a", "started")

    watch = supervise([child("a", SLEEP, tmp_path, drain=drain, drain_seconds=0.1)], tmp_path, act)
    # The details of the events say why a child ended, if it did so by itself.
    assert watch.seen()[1:] == [("a", "draining"), ("a", "stopping"), ("a", "stopped")], watch.events
    assert cancelled == [True]


def test_second_signal_cuts_the_drain_short(tmp_path: Path) -> None:
    """After a second Ctrl-C the supervisor does not wait for the drain."""

    async def drain() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    async def act(watch: Watch) -> None:
        await watch.until("a", "started")

    began = time.monotonic()
    supervise([child("a", SLEEP, tmp_path, drain=drain, drain_seconds=1000)], tmp_path, act)
    assert time.monotonic() - began < 500


def test_a_failed_drain_is_reported_and_the_child_stopped(tmp_path: Path) -> None:
    """A drain that raises does not prevent the end of the child."""

    async def drain() -> None:
        raise OSError("no answer")

    async def act(watch: Watch) -> None:
        await watch.until("a", "started")

    watch = supervise([child("a", SLEEP, tmp_path, drain=drain, drain_seconds=10)], tmp_path, act)
    assert ChildEvent("a", "draining", "failed: no answer") in watch.events
    assert watch.seen()[-1] == ("a", "stopped")


def test_child_dead_at_the_end_is_not_started_again(tmp_path: Path) -> None:
    """A stop during the back-off ends at once: no drain, no start."""

    async def drain() -> None:
        raise AssertionError

    async def act(watch: Watch) -> None:
        await watch.until("a", "failed", 5)

    watch = supervise([child("a", "", tmp_path, drain=drain, drain_seconds=10)], tmp_path, act)
    assert watch.seen().count(("a", "started")) == 5


def test_children_have_a_session_of_their_own(tmp_path: Path) -> None:
    """The terminal's Ctrl-C reaches the supervisor only."""

    async def act(watch: Watch) -> None:
        await watch.until("a", "started")
        assert os.getsid(watch.pid("a")) == watch.pid("a")

    supervise([child("a", SLEEP, tmp_path)], tmp_path, act)


DRIVER = f"""
import asyncio, os, pathlib, sys
from kiteway.instance import Instance
from kiteway.supervisor import ChildSpec, run
instance = Instance(pathlib.Path(sys.argv[1]))
children = [ChildSpec(name, (sys.executable, "-S", "-c", {SLEEP!r}), dict(os.environ)) for name in "ab"]
with instance.acquire():
    print(os.getpid(), flush=True)
    raise SystemExit(asyncio.run(run(children, instance, on_event=lambda event: print(event, flush=True))))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_killed_supervisor_takes_its_children_along(tmp_path: Path) -> None:
    """After a kill -9 of the supervisor no child is left."""
    with subprocess.Popen([sys.executable, "-c", DRIVER, tmp_path], stdout=subprocess.PIPE) as supervisor:
        file = Instance(tmp_path).supervisor_file
        wait_for(lambda: (state := read_state(file)) is not None and all(c.pid for c in state.children.values()))
        state = read_state(file)
        assert state
        pids = [c.pid for c in state.children.values() if c.pid]
        assert len(pids) == 2
        assert all(map(alive, pids))
        supervisor.kill()
        supervisor.wait()
        wait_for(lambda: not any(map(alive, pids)))


def _can_make_namespaces() -> bool:
    command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "true"]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


ORPHAN_MAKER = """
import os, signal, time
if os.fork() == 0:
    if os.fork() == 0:
        while os.getppid() != 1:
            time.sleep(0.01)
        print(os.getpid(), flush=True)
    os._exit(0)
signal.pause()
"""


INIT_DRIVER = f"""
import asyncio, os, pathlib, signal, sys
from kiteway.instance import Instance
from kiteway.supervisor import ChildSpec, run
instance = Instance(pathlib.Path(sys.argv[1]))
log = instance.log_dir / "a.log"
child = ChildSpec("a", (sys.executable, "-S", "-c", {ORPHAN_MAKER!r}), dict(os.environ), log=log)

async def main():
    running = asyncio.create_task(run([child], instance, on_event=print))
    async with asyncio.timeout(60):
        while not (log.exists() and log.read_bytes().endswith(b"\\n")):
            await asyncio.sleep(0.01)
        while pathlib.Path("/proc", log.read_text().strip()).exists():
            await asyncio.sleep(0.01)
    os.kill(1, signal.SIGTERM)
    return await running

assert os.getpid() == 1
with instance.acquire():
    raise SystemExit(asyncio.run(main()))
"""


@pytest.mark.skipif(not _can_make_namespaces(), reason="no PID namespace may be made here")
def test_as_process_1_it_reaps_orphans(tmp_path: Path) -> None:
    """As process 1 of a container the supervisor leaves no zombie, and SIGTERM still ends it."""
    command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"]
    result = subprocess.run(
        [*command, sys.executable, "-c", INIT_DRIVER, tmp_path], check=False, capture_output=True, timeout=60
    )
    assert result.returncode == 0, result.stderr.decode()

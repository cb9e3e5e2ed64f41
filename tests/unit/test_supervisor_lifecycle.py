"""The supervisor with small scripts as children."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kiteway.instance import Instance
from kiteway.report.supervisor import SupervisorState
from kiteway.supervisor import ChildEvent, ChildSpec, read_state, run
from kiteway.supervisor.pulse import Pulse

SLEEP = "import signal; signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)\nwhile True: signal.pause()"


def child(name: str, script: str, tmp_path: Path, **options: object) -> ChildSpec:
    """Return a child that runs ``script``."""
    argv = (sys.executable, "-S", "-c", script)
    return ChildSpec(name, argv, dict(os.environ), log=tmp_path / f"{name}.log", **options)  # type: ignore[arg-type]


class Watch:
    """The events so far, and waiting for them."""

    def __init__(self, instance: Instance) -> None:
        self.events: list[ChildEvent] = []
        self._instance = instance
        self._changed = asyncio.Event()

    def __call__(self, event: ChildEvent) -> None:
        """Take note of ``event``."""
        self.events.append(event)
        self._changed.set()

    async def until(self, name: str, what: str, times: int = 1) -> None:
        """Wait until ``what`` happened to the child ``name`` so many times."""
        while self.seen().count((name, what)) < times:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 30)

    def seen(self) -> list[tuple[str, str]]:
        """Return the events without their details."""
        return [(event.child, event.what) for event in self.events]

    def state(self) -> SupervisorState:
        """Return the state file."""
        state = read_state(self._instance.supervisor_file)
        assert state
        return state

    def pid(self, name: str) -> int:
        """Return the pid of the child ``name``."""
        pid = self.state().children[name].pid
        assert pid
        return pid


def supervise(children: list[ChildSpec], tmp_path: Path, act: Callable[[Watch], Awaitable[None]]) -> Watch:
    """Run ``children``, do ``act`` meanwhile, then SIGTERM ourselves; the supervisor ends with 0."""
    instance = Instance(tmp_path / "data")

    async def main() -> Watch:
        watch = Watch(instance)
        running = asyncio.create_task(run(children, instance, on_event=watch))
        try:
            await act(watch)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            assert await asyncio.wait_for(running, 30) == 0
        return watch

    with instance.acquire():
        return asyncio.run(main())


def first_line(log: Path) -> bytes:
    """Wait for the first line in ``log`` and return it."""
    wait_for(lambda: log.exists() and log.read_bytes().endswith(b"\n"))
    return log.read_bytes()


def alive(pid: int) -> bool:
    """Whether ``pid`` is a process that runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait at most 30 s for ``condition``."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


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
    assert watch.seen()[1:] == [("a", "draining"), ("a", "stopping"), ("a", "stopped")]
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


def test_failed_drain_is_told_and_the_child_still_stopped(tmp_path: Path) -> None:
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
    async with asyncio.timeout(20):
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


class Patient:
    """A child's answers, as the test wants them; counts the questions."""

    def __init__(self, *, answers: bool, start_seconds: float = 60.0) -> None:
        self.answers = answers
        self.start_seconds = start_seconds
        self.asked = 0

    async def ask(self) -> None:
        """Answer, or not."""
        self.asked += 1
        if not self.answers:
            raise ConnectionRefusedError

    async def until_asked(self, times: int) -> None:
        """Wait until so many more questions were asked."""
        wanted = self.asked + times
        async with asyncio.timeout(30):
            while self.asked < wanted:  # noqa: ASYNC110 - questions have no event
                await asyncio.sleep(0.01)

    @property
    def pulse(self) -> Pulse:
        """Ask quickly."""
        return Pulse(self.ask, round_seconds=0.05, hung_seconds=0.3, start_seconds=self.start_seconds)


def test_a_child_that_hangs_is_said_killed_and_started_again(tmp_path: Path) -> None:
    """
    A child that answered before and does not any more is killed, because SIGTERM would not be handled; the
    reason is recorded.
    """
    patient = Patient(answers=True)

    async def act(watch: Watch) -> None:
        await watch.until("a", "started")
        first = watch.pid("a")
        await patient.until_asked(2)
        os.kill(first, signal.SIGSTOP)
        patient.answers = False
        await watch.until("a", "hangs")
        since = watch.state().children["a"].silent_since
        assert since is not None
        assert abs(time.time() - since.timestamp()) < 30
        await watch.until("a", "started", 2)
        assert watch.pid("a") != first
        state = watch.state().children["a"]
        assert (state.restarts, state.last_exit) == (
            1,
            f"killed, as it did not answer for {state.last_exit.split()[-2]} s",
        )
        assert 0.3 <= float(state.last_exit.split()[-2]) < 0.4
        assert state.silent_since is None

    watch = supervise([child("a", SLEEP, tmp_path, pulse=patient.pulse)], tmp_path, act)
    assert watch.seen()[:4] == [("a", "started"), ("a", "hangs"), ("a", "failed"), ("a", "started")]


def test_a_child_that_answers_again_is_left_alone(tmp_path: Path) -> None:
    """A slow answer on a busy machine causes no restart."""
    patient = Patient(answers=True)

    async def act(watch: Watch) -> None:
        await watch.until("a", "started")
        await patient.until_asked(2)
        patient.answers = False
        await watch.until("a", "hangs")
        patient.answers = True
        await watch.until("a", "answers")
        assert watch.state().children["a"].silent_since is None
        await patient.until_asked(8)
        assert watch.state().children["a"].restarts == 0

    supervise([child("a", SLEEP, tmp_path, pulse=patient.pulse)], tmp_path, act)


def test_a_child_that_has_not_answered_yet_may_take_its_time(tmp_path: Path) -> None:
    """A first configuration may be large, or wait for a cluster."""
    patient = Patient(answers=False)

    async def act(watch: Watch) -> None:
        await watch.until("a", "started")
        await patient.until_asked(12)
        assert watch.state().children["a"].restarts == 0
        assert watch.state().children["a"].silent_since is None

    supervise([child("a", SLEEP, tmp_path, pulse=patient.pulse)], tmp_path, act)


def test_a_child_that_never_answers_is_started_again_at_last(tmp_path: Path) -> None:
    """A child that hangs before its first answer is restarted, too."""

    async def act(watch: Watch) -> None:
        await watch.until("a", "failed")
        assert watch.state().children["a"].last_exit.startswith("killed, as it did not answer for")

    patient = Patient(answers=False, start_seconds=0.2)
    assert ("a", "hangs") not in supervise([child("a", SLEEP, tmp_path, pulse=patient.pulse)], tmp_path, act).seen()

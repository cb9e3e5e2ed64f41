"""The supervisor and children that do not answer."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

from kiteway.supervisor.pulse import Pulse
from tests.support.supervising import SLEEP, Watch, child, supervise


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


def test_a_hanging_child_is_reported_killed_and_restarted(tmp_path: Path) -> None:
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

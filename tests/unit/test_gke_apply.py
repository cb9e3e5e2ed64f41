"""Applying plans; shell scripts stand in for the commands."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from kiteway.diagnostics import Diagnostic
from kiteway.gke.apply import Doing, apply
from kiteway.gke.live import ClusterReading, Release
from kiteway.gke.run import CommandError
from kiteway.gke.step import NO_EFFECT, Command, Plan, State, Step
from tests.support.gke import live, release

BUSY = "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress"


class Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def problems(self, problems: tuple[Diagnostic, ...]) -> None:
        """Nothing is wrong here."""
        assert problems == ()

    def pending(self, release: Release, seconds: float) -> None:
        """Keep which."""
        self.lines.append(f"{release.name} is {release.status}")

    def step(self, step: Step) -> None:
        """Keep where it stands."""
        self.lines.append(f"{step.id} {step.state}")

    def command(self, text: str) -> None:
        """Keep the program."""
        self.lines.append(f"$ {text.split(maxsplit=1)[0].rpartition('/')[2]}")

    def waiting(self, step: Step, seconds: float) -> None:
        """Keep nothing: how often it is told depends on the machine."""


def _helm(folder: Path, text: str) -> Command:
    """Return a command that makes a mark and says ``text``, where there is any as its complaint."""
    script = folder / "helm"
    failing = f'echo "{text}" >&2; exit 1' if text else "exit 0"
    script.write_text(f"#!/bin/sh\necho run >> {folder}/runs\n[ -e {folder}/free ] && exit 0\n{failing}\n")
    script.chmod(0o755)
    return Command((str(script),))


def _doing(folder: Path, command: Command, readings: list[ClusterReading]) -> tuple[Doing, Told]:
    told = Told()
    left = iter(readings)

    async def read() -> ClusterReading:
        reading = next(left)
        if reading.release is not None and reading.release.status == "deployed" and readings[0] is not reading:
            (folder / "free").touch()
        return reading

    def plan(reading: ClusterReading) -> Plan:
        done = reading.release is not None and reading.release.revision > 3
        state = State.DONE if done else State.TODO
        return Plan((Step("upgrade", "Upgrade", state, "", NO_EFFECT, "", commands=() if done else (command,)),))

    return Doing(read, plan, told), told


def test_a_helm_that_began_meanwhile_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The Helm process of a killed run may start after the next run's reading: the run waits for it and does the
    rest.
    """
    monkeypatch.setattr("kiteway.gke.apply._POLL_SECONDS", 0.0)
    start = live()
    pending = dataclasses.replace(start, release=release(status="pending-upgrade"))
    ended, upgraded = live(), live(release=release(revision=4))
    doing, told = _doing(tmp_path, _helm(tmp_path, BUSY), [start, pending, pending, ended, upgraded])
    assert asyncio.run(apply(doing))
    assert told.lines == [
        "upgrade todo",
        "$ helm",
        "my-release is pending-upgrade",
        "$ helm",
        "upgrade done",
    ]
    assert (tmp_path / "runs").read_text() == "run\nrun\n"


def test_another_complaint_ends_the_run(tmp_path: Path) -> None:
    """Any other error of Helm is shown to the user, and nothing is retried."""
    doing, _ = _doing(tmp_path, _helm(tmp_path, "Error: chart not found"), [live()])
    with pytest.raises(CommandError, match="chart not found"):
        asyncio.run(apply(doing))
    assert (tmp_path / "runs").read_text() == "run\n"

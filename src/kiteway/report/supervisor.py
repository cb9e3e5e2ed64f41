"""The supervisor and its children; it writes this to a file."""

from __future__ import annotations

import datetime as dt
import enum

import msgspec


class Phase(enum.StrEnum):
    """The phase of the supervisor."""

    RUNNING = "running"
    DRAINING = "draining"
    """It was told to stop, and lets the calls in progress finish."""


class ChildState(msgspec.Struct, rename="camel"):
    """
    A child process.

    Attributes:
        pid: its process id; null while it does not run.
        started: its last start; null before the first.
        restarts: how often it was restarted after it ended by itself.
        last_exit: how it last ended by itself, for example `exit status 1` or `killed by SIGKILL`; empty if it never did.
        silent_since: since when it has not answered though it runs; null while it answers.
    """

    pid: int | None = None
    started: dt.datetime | None = None
    restarts: int = 0
    last_exit: str = ""
    silent_since: dt.datetime | None = None


class SupervisorState(msgspec.Struct, rename="camel"):
    """
    The supervisor.

    Attributes:
        pid: its process id.
        started: its start.
        phase: what it does.
        children: the child processes by name: `controlplane`, `envoy`, and `dashboard` with `--dashboard`.
    """

    pid: int
    started: dt.datetime
    phase: Phase
    children: dict[str, ChildState]

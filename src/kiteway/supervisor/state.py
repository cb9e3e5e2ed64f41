"""What the supervisor tells ``kiteway status``: a small file, replaced whenever it changes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from kiteway.files import write_atomic

Phase = Literal["running", "draining", "stopping"]


class ChildState(msgspec.Struct):
    """
    One child.

    Attributes:
        pid: None while it is not running.
        started: Unix time of its last start, in seconds.
        restarts: how often it was started again after it ended by itself.
        last_exit: how it last ended by itself: ``"exit status 1"``, ``"killed by SIGKILL"``; empty if it never did.
        silent_since: Unix time since which it has not answered though it runs; None while it answers.
    """

    pid: int | None = None
    started: float = 0.0
    restarts: int = 0
    last_exit: str = ""
    silent_since: float | None = None


class SupervisorState(msgspec.Struct):
    """The supervisor (``pid``, Unix time of its start) and its children by name."""

    pid: int
    started: float
    phase: Phase
    children: dict[str, ChildState]


def write_state(path: Path, state: SupervisorState) -> None:
    """Replace the file at ``path``."""
    write_atomic(path, msgspec.json.encode(state), 0o600)


def read_state(path: Path) -> SupervisorState | None:
    """Return what the file at ``path`` says; None when there is no such file or it is not ours."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=SupervisorState)
    except (FileNotFoundError, msgspec.DecodeError):
        return None

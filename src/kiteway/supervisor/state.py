"""The file in which the supervisor keeps its state for other processes; it is replaced whenever the state changes."""

from __future__ import annotations

from pathlib import Path

import msgspec

from kiteway.files import write_atomic
from kiteway.report.supervisor import SupervisorState


def write_state(path: Path, state: SupervisorState) -> None:
    """Replace the file at ``path``. Raises ``OSError``."""
    write_atomic(path, msgspec.json.encode(state), 0o600)


def read_state(path: Path) -> SupervisorState | None:
    """Return the state in the file at ``path``; None when there is no such file or it has another format."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=SupervisorState)
    except (FileNotFoundError, msgspec.DecodeError):
        return None

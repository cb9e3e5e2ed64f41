"""Unix sockets that only their owner can reach."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_PATH_BYTES: Final = 107
"""What fits into ``sun_path`` on Linux."""


def private_directory(path: Path) -> None:
    """
    Make sure that the directory of the socket ``path`` exists, is ours, and is closed to others (0700).

    The socket is created inside it, so that others can never connect, independent of the umask.

    Raises:
        OSError: the path is too long for a socket, or the directory belongs to another user.
    """
    if len(os.fsencode(path)) > _PATH_BYTES:
        raise OSError(f"the socket path {path} is longer than {_PATH_BYTES} bytes; choose a shorter data directory.")
    directory = path.parent
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.stat().st_uid != os.geteuid():
        raise OSError(f"the directory {directory} of the socket belongs to another user; choose one of your own.")
    directory.chmod(0o700)


def restrict_socket(path: Path) -> None:
    """Close the socket to others (0600)."""
    path.chmod(0o600)

"""Log rotation: ``FILE`` and its predecessors ``FILE.1`` (the newest) to ``FILE.4``."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 16 * 1024 * 1024
"""The size at which a file is rotated."""
KEPT_FILES: Final = 4
"""How many predecessors stay: together with the file itself about 5 x 16 MiB."""


def rotate(path: Path) -> None:
    """
    Rename ``path`` to ``path.1`` and each predecessor to the next number; the last one is deleted.

    Raises:
        OSError: a file cannot be renamed.
    """
    for number in range(KEPT_FILES - 1, 0, -1):
        with contextlib.suppress(FileNotFoundError):
            _numbered(path, number).replace(_numbered(path, number + 1))
    path.replace(_numbered(path, 1))


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")

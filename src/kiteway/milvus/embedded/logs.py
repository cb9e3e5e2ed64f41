"""Finds the lines of a log that show why a server ended."""

from __future__ import annotations

import os
import re
from pathlib import Path

_LINES = 12
_TAIL_BYTES = 1 << 20

# After the panic, Go prints every goroutine's stack: hundreds of lines that hide the reason above them.
_GO_STACKS = re.compile(r"^goroutine \d+ .*\[.*\]:$", re.MULTILINE)


def last_lines(path: Path) -> list[str]:
    """Return the last few lines of a log, before any dump of goroutines; none when there is no such file."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    stacks = _GO_STACKS.search(text)
    return text[: stacks.start() if stacks else None].rstrip().splitlines()[-_LINES:]

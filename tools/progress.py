"""
Run a command behind one line that tells how long it takes and how large a folder has become.

Usage: ``python tools/progress.py TEXT FOLDER COMMAND [ARGUMENT...]``. What the command says is shown only if it fails. It needs
nothing but Python: the Makefile uses it before anything is installed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

_STEP_SECONDS = 1.0
_MB = 1 << 20


def main(text: str, folder: Path, command: list[str]) -> int:
    """Run the command; return its exit status."""
    began = time.monotonic()
    terminal = sys.stderr.isatty()
    if not terminal:
        _say(f"{text} ...\n")
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        while True:
            try:
                status = process.wait(_STEP_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if terminal:
                    _say(f"\r{text}: {_megabytes(folder)} MB, {time.monotonic() - began:.0f} s ")
        if status:
            output.seek(0)
            _say("\n" + output.read().decode(errors="replace"))
        else:
            start = "\r" if terminal else ""
            _say(f"{start}{text}: done in {time.monotonic() - began:.0f} s          \n")
    return status


def _megabytes(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.lstat().st_size
        except OSError:
            continue  # renamed meanwhile
    return total // _MB


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))

"""The line that `make` shows while packages are installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[2] / "tools/progress.py"


def _run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), "Installing", str(folder), sys.executable, "-c", code]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_a_command_that_succeeds_is_one_line(tmp_path: Path) -> None:
    """Pages of package names tell a newcomer nothing."""
    done = _run(tmp_path, "print('+ package==1\\n' * 100)")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[0] == "Installing ..."
    assert done.stderr.splitlines()[1].startswith("Installing: done in ")


def test_one_that_fails_says_all_it_said(tmp_path: Path) -> None:
    """Its exit status is kept, too."""
    done = _run(tmp_path, "import sys; print('no space left'); sys.exit(3)")
    assert done.returncode == 3
    assert "no space left" in done.stderr

"""
Find a Chromium for ``make test-dashboard``: one of this machine, else Debian's, unpacked by ``tools/debian.py``.

Usage: ``python -m tools.browser``; prints its path, or why there is none.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tools.debian import TOOLS, DebianError, programs

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ROOT = TOOLS / "debian" / "root"
_UNPACKED = _ROOT / "usr/lib/chromium/chromium"
"""The program itself: Debian's script that starts it reads files below /etc."""


def chromium() -> Path | None:
    """Return the path of a Chromium, or None."""
    if _UNPACKED.exists():
        return _UNPACKED
    # The wrapper that tools/debian.py makes for Debian's script does not work.
    found = (shutil.which(name) for name in _NAMES)
    return next((Path(path) for path in found if path and TOOLS not in Path(path).parents), None)


def environment() -> dict[str, str]:
    """Return the environment for it: an unpacked one finds its libraries by a variable."""
    if chromium() != _UNPACKED:
        return dict(os.environ)
    folders = sorted({str(path.parent) for path in _ROOT.glob("**/*.so*") if "-linux-gnu" in str(path.parent)})
    known = os.environ.get("LD_LIBRARY_PATH")
    return {**os.environ, "LD_LIBRARY_PATH": ":".join([*folders, *([known] if known else [])])}


def main() -> None:
    """Get one, if this machine has none; without one the tests are skipped."""
    if chromium() is None:
        try:
            programs("chromium", "fonts-dejavu-core")
        except DebianError as error:
            print(f"no browser, the tests of the web page are skipped: {error}", file=sys.stderr)
            return
    print(chromium())


if __name__ == "__main__":
    main()

"""
Build the stand-in for a proxy of Milvus 2.6 and 3.x (``tests/standin``) into ``.tools/standin``.

Its dependencies are pinned by ``go.sum``. Without Go 1.25 or later it is left out, and its tests are skipped.

Usage: ``python -m tools.standin``; prints where it is, or what is missing for it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tools.built import BuildError, building, is_built, run

_ROOT = Path(__file__).resolve().parent.parent
_SOURCE = _ROOT / "tests" / "standin"
_TARGET = _ROOT / ".tools" / "standin"
_BINARY = _TARGET / "standin"


def standin() -> Path | None:
    """Return the stand-in that is built from the sources as they are, or None."""
    return _BINARY if is_built(_SOURCE, _TARGET) else None


def main() -> None:
    """Build it, if Go is here."""
    if shutil.which("go") is None:
        print("standin\tleft out: go is not on PATH")
        return
    try:
        with building(_SOURCE, _TARGET) as needed:
            if needed:
                run("go", "build", "-mod=readonly", "-trimpath", "-o", str(_BINARY), ".", folder=_SOURCE)
    except BuildError as error:
        raise SystemExit(str(error)) from None
    print(f"standin\t{_BINARY}")


if __name__ == "__main__":
    main()

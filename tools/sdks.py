"""
Fetch and build the clients of other SDKs for ``make test-sdks``, each from its folder below ``tests/sdks``.

They go to ``.tools/sdks``, and are built again when their sources change. Versions are pinned by ``go.sum``,
``package-lock.json`` and ``pom.xml``. A client whose toolchain this machine lacks is left out, and its test is skipped.

Usage: ``python -m tools.sdks``; prints the command of each client, or what is missing for it.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.built import BuildError, building, is_built, run

_ROOT = Path(__file__).resolve().parent.parent
_SOURCES = _ROOT / "tests" / "sdks"
_HOME = _ROOT / ".tools" / "sdks"

NEEDS: Mapping[str, Sequence[str]] = {"go": ("go",), "node": ("node", "npm"), "java": ("java", "javac", "mvn")}
"""The programs that each client needs."""

_COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


def missing(name: str) -> list[str]:
    """Return the programs that this machine lacks for a client."""
    return [program for program in NEEDS[name] if shutil.which(program) is None]


def command(name: str) -> list[str] | None:
    """Return the command of a client that is built from the sources as they are, or None."""
    built = _HOME / name
    if not is_built(_SOURCES / name, built):
        return None
    match name:
        case "go":
            return [str(built / "client")]
        case "node":
            return ["node", str(built / "client.js")]
        case _:
            return ["java", "-cp", f"{built / 'classes'}:{built / 'lib'}/*", "Client"]


def build(name: str) -> None:
    """
    Fetch and build a client, unless it is there.

    Raises:
        BuildError: a command failed.
    """
    source, target = _SOURCES / name, _HOME / name
    with building(source, target) as needed:
        if not needed:
            return
        print(f"{name}: fetching and building its SDK's client", file=sys.stderr, flush=True)
        match name:
            case "go":
                run("go", "build", "-mod=readonly", "-o", str(target / "client"), ".", folder=source)
            case "node":
                for file in source.iterdir():
                    shutil.copy(file, target)
                run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=target)
            case _:
                lib, classes = str(target / "lib"), str(target / "classes")
                run("mvn", "-q", "-B", _COPY_DEPENDENCIES, f"-DoutputDirectory={lib}", folder=source)
                run("javac", "-d", classes, "-cp", f"{lib}/*", "Client.java", folder=source)


def main() -> None:
    """Build every client whose toolchain is here."""
    for name in NEEDS:
        if lacking := missing(name):
            print(f"{name}\tleft out: {', '.join(lacking)} not on PATH")
            continue
        try:
            build(name)
        except BuildError as error:
            raise SystemExit(str(error)) from None
        print(f"{name}\t{' '.join(command(name) or ())}")


if __name__ == "__main__":
    main()

"""
Fetch and build the clients of other SDKs for ``make test-sdks``, each from its folder below ``tests/sdks``.

They go to ``.tools/sdks``, and are built again when their sources change. Versions are pinned by ``go.sum``,
``package-lock.json`` and ``pom.xml``. A client whose toolchain this machine lacks is left out, and its test is skipped.

Usage: ``python tools/sdks.py``; prints the command of each client, or what is missing for it.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_SOURCES = _ROOT / "tests" / "sdks"
_HOME = _ROOT / ".tools" / "sdks"
_STAMP = "built-from"

NEEDS: Mapping[str, Sequence[str]] = {"go": ("go",), "node": ("node", "npm"), "java": ("java", "javac", "mvn")}
"""The programs that each client needs."""

_COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


class SdkError(Exception):
    """A client cannot be built; the message says which command failed and what it said."""


def missing(name: str) -> list[str]:
    """Return the programs that this machine lacks for a client."""
    return [program for program in NEEDS[name] if shutil.which(program) is None]


def command(name: str) -> list[str] | None:
    """Return the command of a client that is built from the sources as they are, or None."""
    built = _HOME / name
    stamp = built / _STAMP
    if not stamp.exists() or stamp.read_text() != _digest(name):
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
        SdkError: a command failed.
    """
    _HOME.mkdir(parents=True, exist_ok=True)
    with (_HOME / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if command(name) is not None:
            return
        print(f"{name}: fetching and building its SDK's client", file=sys.stderr, flush=True)
        source, target = _SOURCES / name, _HOME / name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        match name:
            case "go":
                _run("go", "build", "-mod=readonly", "-o", str(target / "client"), ".", folder=source)
            case "node":
                for file in source.iterdir():
                    shutil.copy(file, target)
                _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=target)
            case _:
                lib, classes = str(target / "lib"), str(target / "classes")
                _run("mvn", "-q", "-B", _COPY_DEPENDENCIES, f"-DoutputDirectory={lib}", folder=source)
                _run("javac", "-d", classes, "-cp", f"{lib}/*", "Client.java", folder=source)
        (target / _STAMP).write_text(_digest(name))


def _digest(name: str) -> str:
    digest = hashlib.sha256()
    for file in sorted((_SOURCES / name).iterdir()):
        digest.update(f"{file.name}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _run(*arguments: str, folder: Path) -> None:
    done = subprocess.run(arguments, cwd=folder, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise SdkError(f"{' '.join(arguments)} failed in {folder}:\n{done.stdout}{done.stderr}".strip())


def main() -> None:
    """Build every client whose toolchain is here."""
    for name in NEEDS:
        if lacking := missing(name):
            print(f"{name}\tleft out: {', '.join(lacking)} not on PATH")
            continue
        try:
            build(name)
        except SdkError as error:
            raise SystemExit(str(error)) from None
        print(f"{name}\t{' '.join(command(name) or ())}")


if __name__ == "__main__":
    main()

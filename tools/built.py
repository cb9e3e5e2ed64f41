"""Programs that are built from a folder of this clone, once for each content of it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

_STAMP = "built-from"


class BuildError(Exception):
    """A program cannot be built; the message says which command failed and what it said."""


def is_built(source: Path, target: Path) -> bool:
    """Return whether ``target`` holds what was built from the files of ``source`` as they are."""
    stamp = target / _STAMP
    return stamp.exists() and stamp.read_text() == _digest(source)


@contextlib.contextmanager
def building(source: Path, target: Path) -> Iterator[bool]:
    """
    Give the block an empty ``target`` to build in, with True; with False if it is built already.

    Of several processes one builds, and the others wait for it. If the block raises, the next process builds again.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_built(source, target):
            yield False
            return
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        yield True
        (target / _STAMP).write_text(_digest(source))


def run(*arguments: str, folder: Path) -> None:
    """
    Run a command of a build in ``folder``.

    Raises:
        BuildError: it failed.
    """
    done = subprocess.run(arguments, cwd=folder, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(arguments)} failed in {folder}:\n{done.stdout}{done.stderr}".strip())


def _digest(source: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(source.iterdir()):
        digest.update(f"{file.name}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()

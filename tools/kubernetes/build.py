"""
Build a real kube-apiserver and kube-controller-manager from the Go module k8s.io/kubernetes, once.

go.mod and go.sum beside this file say which release, down to the hash of every module; the programs go to
``.tools/kubernetes-VERSION``. The first build downloads about 200 MB and takes some minutes; Go's own caches make the
next clone's faster.

Usage: ``python tools/kubernetes/build.py``; prints the path of each program.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MODULE = Path(__file__).resolve().parent
_TOOLS = _MODULE.parent.parent / ".tools"
PROGRAMS = ("kube-apiserver", "kube-controller-manager")


class BuildError(Exception):
    """The programs cannot be built on this machine; the message says why and what to do."""


def version() -> str:
    """Return the release that go.mod requires, such as ``v1.37.2``."""
    found = re.search(r"k8s\.io/kubernetes (v[\d.]+)", (_MODULE / "go.mod").read_text())
    if found is None:
        raise BuildError(f"{_MODULE / 'go.mod'} requires no k8s.io/kubernetes.")
    return found[1]


def built() -> bool:
    """Return whether the programs are there already."""
    return (_folder() / "complete").exists()


def programs() -> dict[str, Path]:
    """
    Make sure that the programs are built, and return them by name.

    Raises:
        BuildError: there is no Go here, or the build fails.
    """
    folder = _folder()
    with _locked():
        if not built():
            folder.mkdir(parents=True, exist_ok=True)
            _build(folder, version())
            (folder / "complete").touch()
    return {name: folder / name for name in PROGRAMS}


def _folder() -> Path:
    return _TOOLS / f"kubernetes-{version()}"


@contextmanager
def _locked() -> Iterator[None]:
    """Let one process at a time build; a second one waits and then finds everything there."""
    _TOOLS.mkdir(parents=True, exist_ok=True)
    with (_TOOLS / "kubernetes.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(folder: Path, release: str) -> None:
    go = shutil.which("go")
    if go is None:
        raise BuildError("There is no Go on this machine. Install the release that tools/kubernetes/go.mod names.")
    print(f"go: building Kubernetes {release} into {folder} (some minutes, once)", file=sys.stderr, flush=True)
    major, minor, _ = release.removeprefix("v").split(".")
    # The programs tell their version, and compare others' with it, from these variables.
    stamps = {"gitMajor": major, "gitMinor": minor, "gitVersion": release, "gitTreeState": "clean"}
    flags = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in stamps.items())
    command = ["nice", "-n", "15", go, "build", "-p", "2", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {flags}"]
    command += ["-o", f"{folder}{os.sep}", *(f"k8s.io/kubernetes/cmd/{name}" for name in PROGRAMS)]
    done = subprocess.run(
        command,
        check=False,
        cwd=_MODULE,
        env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode != 0:
        raise BuildError(f"go cannot build Kubernetes {release}:\n{done.stderr.strip()[-4000:]}")


def main() -> None:
    """Build, and print the programs."""
    try:
        found = programs()
    except BuildError as error:
        raise SystemExit(str(error)) from None
    for name, path in found.items():
        print(f"{name}\t{path}")


if __name__ == "__main__":
    main()

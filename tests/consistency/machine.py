"""Kiteway's Envoy with what a run changes in it: the filter's planted bugs, and a machine that can be suspended."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import signal
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

from kiteway.envoy.binary import find_envoy
from kiteway.filter import PATH_VARIABLE

_ROOT = Path(__file__).resolve().parents[2]
_FILTER = _ROOT / "filter"
_PLANTED = _FILTER / "core/src/cache/planted.rs"
_NANOS = 1_000_000_000


class Machine:
    """
    The machine as Envoy sees it.

    A suspended machine does not run, ``CLOCK_MONOTONIC`` does not count, and ``CLOCK_BOOTTIME`` does. Here Envoy alone is
    suspended: it is stopped, and a library before the C library takes that time from its ``CLOCK_MONOTONIC``.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        """
        Write the program to start instead of Envoy.

        Args:
            folder: where files are kept.
            environment: variables that only Envoy gets.
        """
        self.envoy = folder / "envoy.sh"
        self._slept = folder / "suspended"
        self._slept.write_bytes(struct.pack("=q", 0))
        self._nanos = 0
        added = dict(environment or {})
        if library := _preloaded(folder):
            added |= {"LD_PRELOAD": str(library), "KITEWAY_SUSPENDED": str(self._slept)}
        exported = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in added.items())
        self.envoy.write_text(f'#!/bin/sh\n{exported}exec {shlex.quote(str(find_envoy()))} "$@"\n')
        self.envoy.chmod(0o755)

    async def suspend(self, pid: int, seconds: float) -> None:
        """Suspend Envoy's machine."""
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
            self._nanos += int(seconds * _NANOS)
            with self._slept.open("r+b") as file:
                file.write(struct.pack("=q", self._nanos))
        finally:
            os.kill(pid, signal.SIGCONT)


def planted_bugs() -> tuple[str, ...]:
    """Return the names of the filter's planted bugs; none if it has no such list."""
    if not _PLANTED.exists():
        return ()
    _, _, listed = _PLANTED.read_text().partition("\nbugs! {")
    return tuple(re.findall(r"^    (\w+),$", listed.partition("\n}")[0], re.MULTILINE))


def build_planted() -> None:
    """Build the filter with its planted bugs in a separate folder, and use it from now on."""
    target = _FILTER / "target/planted"
    command = ["cargo", "build", "--release", "--offline", "--locked", "--package", "kiteway_filter"]
    subprocess.run([*command, "--features", "planted", "--target-dir", target], cwd=_FILTER, check=True)
    os.environ[PATH_VARIABLE] = str(target / "release/libkiteway_filter.so")


def _preloaded(folder: Path) -> Path | None:
    """Build the library of `suspend.rs`; without a Rust compiler Envoy's clocks go on while it is stopped."""
    compiler = shutil.which("rustc")
    if compiler is None:
        return None
    library = folder / "libsuspend.so"
    source = Path(__file__).with_name("suspend.rs")
    subprocess.run([compiler, "--edition", "2021", "--crate-type", "cdylib", "-O", "-o", library, source], check=True)
    return library

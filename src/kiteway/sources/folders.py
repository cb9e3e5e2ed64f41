"""Which files of a folder are manifests, and which of its subfolders are not read."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kiteway.diagnostics import Diagnostic, Severity

SUFFIXES: Final = (".yaml", ".yml", ".json")
"""The names of files that are read in a folder end so."""
MOST_ENTRIES: Final = 2_000
"""
The most entries of a subfolder and of all below it: it may be that of one tenant, and 2,000 files take half a second. A folder that
is given has no limit, because each of its files may be another tenant's.
"""
_MOST_NAMES: Final = 5
_MOST_FOLDERS: Final = 100
"""Folders below a subfolder in which a manifest is looked for: the search is only for a note."""


def is_manifest(name: str) -> bool:
    """Return whether a file of this name in a folder is read."""
    return name.endswith(SUFFIXES) and name not in SUFFIXES


class BadNameError(OSError):
    """A name is not UTF-8: no status, log or watch could name the file."""

    def __init__(self) -> None:
        super().__init__(0, "its name is not UTF-8")


@dataclass(slots=True)
class Listing:
    """
    What is read of a folder.

    Attributes:
        manifests: the files, in order.
        folders: the subfolders at all depths.
        unreadable: the subfolders that cannot be read, and what cannot be read because of its name.
        cut: subfolders with more entries than `MOST_ENTRIES`; the others are not read.
    """

    manifests: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    unreadable: dict[Path, OSError] = field(default_factory=dict)
    cut: set[Path] = field(default_factory=set)


def listing(folder: Path, *, recursive: bool) -> Listing:
    """
    Return the manifests in a folder, by name; with ``recursive`` those of each subfolder after them.

    Hidden subfolders (a ConfigMap's volume has its content in ``..data`` once more) and symbolic links to folders are left out.
    So are entries of a subfolder above the limit, because a change of one tenant waits until the folders of all are read.

    Raises:
        OSError: the folder itself cannot be read.
    """
    found = Listing()
    entries, _ = _entries(folder, None)
    for subfolder in _add(folder, entries, found, recursive=recursive):
        _add_all(subfolder, found)
    return found


def _add_all(folder: Path, to: Listing) -> None:
    """Add a subfolder and all below it."""
    left, waiting = MOST_ENTRIES, [folder]
    while waiting:
        here = waiting.pop()
        try:
            entries, is_whole = _entries(here, left)
        except FileNotFoundError:
            continue
        except OSError as error:
            to.unreadable[here] = error
            continue
        if not is_whole:
            to.cut.add(folder)
        left -= len(entries)
        to.folders.append(here)
        waiting += _add(here, entries, to, recursive=True)[::-1]


def _entries(folder: Path, most: int | None) -> tuple[list[os.DirEntry[str]], bool]:
    """Return the entries of a folder by name, at most ``most``, and whether these are all."""
    with os.scandir(folder) as entries:
        found = sorted(itertools.islice(entries, most), key=lambda entry: entry.name)
        return found, next(entries, None) is None


def _add(folder: Path, entries: Iterable[os.DirEntry[str]], to: Listing, *, recursive: bool) -> list[Path]:
    """Add the manifests among the entries of a folder, and return the subfolders to be read."""
    below = []
    for entry in entries:
        path, is_below = folder / entry.name, recursive and _is_subfolder(entry)
        if not is_below and not (is_manifest(entry.name) and _may_be_file(entry)):
            continue
        if (name := shown(entry.name)) != entry.name:
            to.unreadable[folder / name] = BadNameError()
        elif is_below:
            below.append(path)
        else:
            to.manifests.append(path)
    return below


def shown(name: str) -> str:
    """Return a name of the file system as text that can be written, with escapes for bytes that are not UTF-8."""
    return os.fsencode(name).decode(errors="backslashreplace")


def too_many(folder: Path) -> Diagnostic:
    """Return what is wrong with a subfolder that has more entries than are read."""
    return Diagnostic(
        Severity.ERROR,
        "FilesTooMany",
        f"{folder} has more than {MOST_ENTRIES} files and subfolders; the others are not read.",
        "Remove some, put more objects into one file, or give the folder itself with -f.",
    )


def not_read(paths: Iterable[Path]) -> Diagnostic | None:
    """Return a note about the subfolders with manifests of the folders among ``paths``, which are read without them."""
    found = [below for path in paths if is_folder(path) for below in subfolders(path) if _holds_manifest(below)]
    if not found:
        return None
    return Diagnostic(
        Severity.NOTE,
        "SubfoldersNotRead",
        f"subfolders are not read, and these have manifests: {listed([shown(str(each)) for each in found])}.",
        "Give -R to read them too, or name one with -f.",
    )


def subfolders(folder: Path) -> list[Path]:
    """Return the subfolders that `listing` reads with ``recursive``; none of a folder that cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(folder / entry.name for entry in entries if _is_subfolder(entry))
    except OSError:
        return []


def listed(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; False where the system refuses to say, for which `Path.is_dir` raises an error."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: Path) -> bool:
    """Return whether a path is a regular file; False where the system refuses to say."""
    return os.path.isfile(path)  # noqa: PTH113


def _may_be_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return True  # Reading it says what is wrong, such as a link to itself.


def _is_subfolder(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)


def _holds_manifest(folder: Path) -> bool:
    below = itertools.islice(os.walk(folder), _MOST_FOLDERS)
    return any(is_manifest(name) for _, _, names in below for name in names)

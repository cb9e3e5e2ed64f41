"""The Secrets of the storage, cached in memory, updated by a watch, and saved to a file for a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from kiteway.acme.replicated.secrets import Folder, folder_name, folder_of
from kiteway.files import write_atomic


class _File(msgspec.Struct):
    folders: dict[str, dict[str, bytes]]


class Mirror:
    """
    The folders of one owner; a `kiteway.kubernetes.reflector.Sink`.

    Written on the event loop only, read from any thread.
    """

    def __init__(self, owner: str, changed: Callable[[str], None]) -> None:
        """Prepare; ``changed`` is called with each folder whose values change."""
        self._owner = owner
        self._changed = changed
        self._folders: dict[str, Folder] = {}

    def get(self, folder: str) -> Folder:
        """Return a folder; an empty one when there is none."""
        return self._folders.get(folder, Folder())

    def listed(self) -> list[str]:
        """Return all keys."""
        return [f"{folder}/{entry}" for folder, state in dict(self._folders).items() for entry in state.values]

    def all(self, entry: str) -> dict[str, bytes]:
        """Return the values of an entry by folder, for the folders that have it."""
        return {folder: state.values[entry] for folder, state in self._folders.items() if entry in state.values}

    def replace(self, objects: Iterable[dict[str, Any]]) -> None:
        """Take all Secrets; a cached Secret that is not in the list is deleted."""
        before = self._folders
        listed = {folder: folder_of(object_) for object_ in objects if (folder := folder_name(object_, self._owner))}
        # In one step, so that a reader in a thread sees either the old folders or the new ones.
        self._folders = {folder: _newer(before.get(folder, Folder()), state) for folder, state in listed.items()}
        for folder in before.keys() | self._folders.keys():
            if self.get(folder).values != before.get(folder, Folder()).values:
                self._changed(folder)

    def put(self, object_: dict[str, Any]) -> None:
        """Replace the folder of a Secret by the Secret's content."""
        if folder := folder_name(object_, self._owner):
            self.take(folder, folder_of(object_))

    def drop(self, object_: dict[str, Any]) -> None:
        """Remove the folder of a Secret that was deleted."""
        folder = folder_name(object_, self._owner)
        if folder and self._folders.pop(folder, None) is not None:
            self._changed(folder)

    def take(self, folder: str, state: Folder) -> None:
        """Take a folder that this process has written or read itself, before the watch reports it."""
        known = self.get(folder)
        self._folders[folder] = _newer(known, state)
        if self._folders[folder].values != known.values:
            self._changed(folder)

    def keep(self, file: Path) -> None:
        """Write everything to a 0600 file. Raises ``OSError``."""
        content = _File({folder: dict(state.values) for folder, state in dict(self._folders).items()})
        write_atomic(file, msgspec.json.encode(content), mode=0o600)

    def restore(self, file: Path) -> bool:
        """Load the file, and return whether it holds anything readable."""
        try:
            found = msgspec.json.decode(file.read_bytes(), type=_File)
        except (OSError, msgspec.DecodeError):
            return False
        self._folders = {folder: Folder("", values) for folder, values in found.folders.items()}
        return True


def _newer(known: Folder, state: Folder) -> Folder:
    """Return ``state``, unless it is older: the watch may lag behind what this process has written itself."""
    # A version is a number that grows (KEP-5504).
    older = state.version.isdecimal() and known.version.isdecimal() and int(state.version) < int(known.version)
    return known if older else state

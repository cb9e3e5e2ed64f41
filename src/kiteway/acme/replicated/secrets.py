"""A folder of the storage as a Secret: reading, and writing without overwriting another writer's change."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kiteway.acme.storage import LeaseLostError, segments_of
from kiteway.kubernetes.api import Api, ApiError
from kiteway.kubernetes.paths import collection

SECRET_TYPE: Final = "kiteway.io/acme"  # noqa: S105 - the kind of a Secret is none
"""Kiteway lists and watches Secrets of this type only, so that no other Secret of the namespace is ever in its memory."""
_FOLDER: Final = "kiteway.io/storage-folder"
_OWNER: Final = "kiteway.io/storage-owner"
_NAME_LENGTH: Final = 200
_ATTEMPTS: Final = 10
"""How often a write that conflicts with another one is retried."""
_MISSING, _CONFLICT = 404, 409


@dataclass(frozen=True, slots=True)
class Folder:
    """
    The values of one folder.

    Attributes:
        version: the Secret's resourceVersion; empty while there is no Secret.
        values: by the last segment of the key.
    """

    version: str = ""
    values: Mapping[str, bytes] = field(default_factory=dict)


def split(key: str) -> tuple[str, str]:
    """Return the folder of a key, and the entry in it. Raises ``ValueError`` for an invalid key."""
    *folder, entry = segments_of(key)
    if not folder:
        raise ValueError(f"{key!r} is no storage key: it is in no folder")
    return "/".join(folder), entry


def secret_name(owner: str, folder: str) -> str:
    """Return the name of a folder's Secret: readable, cut if too long, and unique."""
    readable = re.sub(r"[^a-z0-9]+", "-", "-".join([owner, *folder.split("/")[-2:]]).lower())
    return f"{readable[:_NAME_LENGTH].strip('-')}-{hashlib.sha256(f'{owner} {folder}'.encode()).hexdigest()[:12]}"


def secret_of(owner: str, namespace: str, folder: str, state: Folder) -> dict[str, Any]:
    """Return a folder as a Secret; its ``resourceVersion`` is the precondition for replacing the previous one."""
    metadata = {
        "name": secret_name(owner, folder),
        "namespace": namespace,
        "annotations": {_FOLDER: folder, _OWNER: owner},
    }
    if state.version:
        metadata["resourceVersion"] = state.version
    data = {entry: base64.b64encode(value).decode() for entry, value in state.values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "type": SECRET_TYPE, "metadata": metadata, "data": data}


def folder_name(secret: Mapping[str, Any], owner: str) -> str:
    """Return the folder that a Secret holds; empty when it belongs to another Kiteway."""
    annotations = secret["metadata"].get("annotations") or {}
    return str(annotations.get(_FOLDER, "")) if annotations.get(_OWNER) == owner else ""


def folder_of(secret: Mapping[str, Any]) -> Folder:
    """Return the values of a Secret; one that is not base64 counts as missing."""
    values: dict[str, bytes] = {}
    for entry, text in (secret.get("data") or {}).items():
        try:
            values[entry] = base64.b64decode(text, validate=True)
        except binascii.Error:
            continue
    return Folder(secret["metadata"].get("resourceVersion", ""), values)


class Secrets:
    """
    The Secrets of one storage. Every method raises `ApiError`, `ApiUnavailableError`.

    A write whose answer is lost may have happened all the same.
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        owner: str,
        seen: Callable[[str, Folder], None] = lambda _folder, _state: None,
    ) -> None:
        """Prepare; ``seen`` is called with a folder's present values whenever it was read or written."""
        self.collection = collection("v1", "secrets", namespace)
        self._api = api
        self._namespace = namespace
        self._owner = owner
        self._seen = seen

    async def fetch(self, folder: str) -> Folder:
        """Return the present state of a folder."""
        try:
            found = await self._api.get(f"{self.collection}/{secret_name(self._owner, folder)}")
        except ApiError as error:
            if error.status != _MISSING:
                raise
            return Folder()
        return self._take(folder, found)

    async def put(self, key: str, value: bytes | None) -> None:
        """Set or remove a value, whatever its previous value."""
        folder, entry = split(key)
        for attempt in range(_ATTEMPTS):
            before = await self.fetch(folder)
            try:
                await self._write(folder, _with(before.values, entry, value), before.version)
            except ApiError as error:
                if error.status not in {_MISSING, _CONFLICT} or attempt == _ATTEMPTS - 1:
                    raise
            else:
                return

    async def put_unless_changed(self, key: str, value: bytes | None, before: Folder) -> Folder:
        """
        Set or remove a value if it is unchanged since ``before``; other values of its folder may have changed.

        Returns:
            the present state of the folder.

        Raises:
            LeaseLostError: another process has changed it, so another process leads.
        """
        folder, entry = split(key)
        state = before
        for _ in range(_ATTEMPTS):
            try:
                return await self._write(folder, _with(state.values, entry, value), state.version)
            except ApiError as error:
                if error.status not in {_MISSING, _CONFLICT}:
                    raise
            state = await self.fetch(folder)
            found = state.values.get(entry)
            if found == value:
                return state  # this process's own write, whose answer was lost
            if found != before.values.get(entry):
                raise LeaseLostError(f"{key} was written by another replica")
        raise ApiError(_CONFLICT, "Conflict", f"{key}: the Secret is written by others all the time")

    async def _write(self, folder: str, values: Mapping[str, bytes], version: str) -> Folder:
        body = secret_of(self._owner, self._namespace, folder, Folder(version, values))
        if version:
            answer = await self._api.replace(f"{self.collection}/{body['metadata']['name']}", body)
        else:
            answer = await self._api.create(self.collection, body)
        return self._take(folder, answer)

    def _take(self, folder: str, secret: Mapping[str, Any]) -> Folder:
        state = folder_of(secret)
        self._seen(folder, state)
        return state


def _with(values: Mapping[str, bytes], entry: str, value: bytes | None) -> dict[str, bytes]:
    """Return ``values`` with one of them set, or removed."""
    rest = {name: each for name, each in values.items() if name != entry}
    return rest if value is None else {**rest, entry: value}

"""Reads from the API server. Only GET is ever sent, and a refusal is a fact like any other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from lightkube.core.exceptions import ConfigError

from kiteway.doctor.cluster.facts import HELM_RELEASE, Unread
from kiteway.doctor.cluster.snapshot import Raw, Snapshot, paths
from kiteway.kubernetes.api import Api, ApiError, ApiUnavailableError
from kiteway.kubernetes.paths import collection
from kiteway.resources import Ingress, Object, Secret, Service, load_object
from kiteway.sources.kubernetes.gke import is_gke
from kiteway.sources.kubernetes.kinds import WATCHED
from kiteway.sources.kubernetes.named import secrets_named
from kiteway.sources.kubernetes.store import substance

_NOT_FOUND = 404
_UNAUTHORIZED = 401
_KINDS = {kind.cls.KIND: kind for kind in WATCHED}


class Reader:
    """Reads one namespace, once."""

    def __init__(self, api: Api, server: str, namespace: str) -> None:
        self._api = api
        self._server = server
        self._namespace = namespace
        self._unread: list[Unread] = []

    async def read(self, release: str) -> Snapshot:
        """
        Read everything that a diagnosis needs; the result also lists what may not be read.

        Args:
            release: the Helm release whose values are wanted.
        """
        try:
            return await self._read(release)
        except (ApiUnavailableError, ApiError, ConfigError, OSError) as error:
            # ConfigError and OSError come from the program that the kubeconfig names for credentials.
            return Snapshot(server=self._server, namespace=self._namespace, problem=str(error) or type(error).__name__)

    async def _read(self, release: str) -> Snapshot:
        gke = await is_gke(self._api)
        listed = list(paths(self._namespace))
        found = await asyncio.gather(*(self._list(kind, path, optional=custom) for kind, path, custom in listed))
        objects = {kind: items for (kind, _, _), items in zip(listed, found, strict=True)}
        named = await asyncio.gather(*(self._secret(name) for name in sorted(self._secrets(objects.items()))))
        objects[Secret.KIND] = tuple(secret for secret in named if secret is not None)
        return Snapshot(
            server=self._server,
            namespace=self._namespace,
            objects=objects,
            release=await self._release(release),
            gke=gke,
            unread=tuple(self._unread),
        )

    async def _list(self, kind: str, path: str, *, optional: bool) -> tuple[Raw, ...]:
        try:
            items, _ = await self._api.list(path)
        except ApiError as error:
            if not (optional and error.status == _NOT_FOUND):
                self._refused(kind, "", error)
            return ()
        return tuple(items)

    async def _secret(self, name: str) -> Raw | None:
        try:
            return await self._api.get(f"{self._secrets_path}/{name}")
        except ApiError as error:
            if error.status != _NOT_FOUND:
                self._refused(Secret.KIND, name, error)
            return None

    async def _release(self, release: str) -> Raw | None:
        labels = f"owner=helm,name={release}"
        try:
            items, _ = await self._api.list(self._secrets_path, "type=helm.sh/release.v1", labels)
        except ApiError as error:
            self._refused(HELM_RELEASE, release, error)
            return None
        return max(items, key=_revision, default=None)

    def _refused(self, kind: str, name: str, error: ApiError) -> None:
        if error.status == _UNAUTHORIZED:
            # Without authentication nothing can be read: one problem is reported, not one for each kind.
            raise error
        self._unread.append(Unread(kind, name, str(error)))

    @property
    def _secrets_path(self) -> str:
        return collection("v1", "secrets", self._namespace)

    def _secrets(self, objects: Iterable[tuple[str, tuple[Raw, ...]]]) -> set[str]:
        typed: list[Object] = []
        for kind, items in objects:
            if kind in {Ingress.KIND, Service.KIND}:
                for item in items:
                    typed += load_object(substance(item, _KINDS[kind])).objects
        return {name for _, name in secrets_named(typed)}


def _revision(secret: dict[str, Any]) -> int:
    text = str((secret["metadata"].get("labels") or {}).get("version", ""))
    return int(text) if text.isascii() and text.isdecimal() else 0

"""
Secrets of other types than ``kubernetes.io/tls``: only those that an Ingress or a Service names, one by one.

An Opaque Secret may hold a CA or a certificate. Kiteway never reads the other Opaque Secrets of a cluster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from kiteway.kubernetes.api import Api
from kiteway.kubernetes.reflector import Reflector
from kiteway.resources import Ingress, Object, Secret, Service
from kiteway.resources import annotations as keys
from kiteway.resources.kinds.secret import TLS_SECRET
from kiteway.sources.kubernetes.kinds import WatchedKind
from kiteway.sources.kubernetes.store import Name, View

NAMED: Final = WatchedKind(Secret, "secrets", selector=f"type!={TLS_SECRET}", bucket="Secret by name")


def secrets_named(objects: Iterable[Object]) -> set[Name]:
    """Return the Secrets that Ingresses and Services name, in their own namespaces."""
    found: set[Name] = set()
    for object_ in objects:
        if isinstance(object_, Ingress | Service):
            marks = object_.metadata.annotations
            names = [marks[key] for key in keys.NAMING_SECRETS if marks.get(key)]
            if isinstance(object_, Ingress):
                names += [tls.secret_name for tls in object_.spec.tls if tls.secret_name]
            found |= {(object_.metadata.namespace, name) for name in names}
    return found


class NamedSecrets:
    """Watches the named Secrets."""

    def __init__(self, api: Api, view: Callable[[Name], View], notify: Callable[[], None]) -> None:
        self._api = api
        self._view = view
        self._notify = notify
        self._following: dict[Name, tuple[Reflector, asyncio.Task[None]]] = {}

    @property
    def settled(self) -> bool:
        """Whether each was requested, with or without success."""
        return all(each.synced or each.problem for each, _ in self._following.values())

    def follow(self, names: set[Name]) -> None:
        """Watch exactly these from now on."""
        for name in self._following.keys() - names:
            self._following.pop(name)[1].cancel()
            self._view(name).replace(())
        for name in names - self._following.keys():
            selector = f"metadata.name={name[1]},{NAMED.selector}"
            reflector = Reflector(
                self._api, NAMED.collection(name[0]), self._view(name), self._notify, selector=selector
            )
            self._following[name] = (reflector, asyncio.create_task(reflector.run()))

    async def run(self) -> None:
        """Wait until cancelled, and then end all watches."""
        try:
            await asyncio.Event().wait()
        finally:
            self.follow(set())

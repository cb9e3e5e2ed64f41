"""This replica's membership: it announces its life and its challenges, and reads the others' annotations."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
import structlog

from kiteway.acme.replicated.members import PREFIX, Beat, Members, MembersSink
from kiteway.acme.replicated.storage import Leader
from kiteway.acme.storage import LEASE_SECONDS
from kiteway.backoff import Backoff
from kiteway.kubernetes.api import Api, ApiError, ApiUnavailableError
from kiteway.kubernetes.paths import collection
from kiteway.kubernetes.reflector import FIRST_PAUSE, LONGEST_PAUSE, Reflector

_log = structlog.get_logger(__name__)

_BEAT_SECONDS: Final = LEASE_SECONDS / 3
_API_VERSION: Final = "coordination.k8s.io/v1"
_FORBIDDEN, _MISSING, _CONFLICT = 403, 404, 409


class Membership:
    """
    One replica.

    Attributes:
        members: all replicas as seen in the Lease, this one included.
        reflector: follows the Lease.
    """

    def __init__(
        self, api: Api, namespace: str, name: str, *, identity: str, leader: Leader, notify: Callable[[], None]
    ) -> None:
        """
        Prepare.

        Args:
            api: the connection.
            namespace: where the Lease is.
            name: its name.
            identity: this replica's name, unique while it runs.
            leader: removes the annotations of replicas that are gone.
            notify: called when the Lease can be watched, or no longer can.
        """
        self.members = Members()
        self._api = api
        self._collection = collection(_API_VERSION, "leases", namespace)
        self._metadata = {"name": name, "namespace": namespace}
        self._identity = identity
        # A name may be longer than an annotation's key may be.
        self._key = PREFIX + hashlib.sha256(identity.encode()).hexdigest()[:16]
        self._leader = leader
        self._number = 0
        self._shown: tuple[str, ...] = ()
        self._news = asyncio.Event()
        sink = MembersSink(self.members)
        self.reflector = Reflector(api, self._collection, sink, notify, selector=f"metadata.name={name}")

    async def join(self) -> None:
        """Return when the Lease says that this replica is live, or cannot say so: only then are challenges read."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            if await self._beat():
                return
            await asyncio.sleep(backoff.pause())

    async def run(self) -> None:
        """Renew the annotation until cancelled; then remove it, so that the leader does not wait for this replica."""
        follow = asyncio.create_task(self.reflector.run())
        try:
            while True:
                try:
                    async with asyncio.timeout(_BEAT_SECONDS * random.uniform(0.8, 1.0)):  # noqa: S311 - spreading load
                        await self._news.wait()
                except TimeoutError:
                    pass
                self._news.clear()
                await self._beat()
        finally:
            follow.cancel()
            await asyncio.shield(self._leave())

    def show(self, digests: Iterable[str]) -> None:
        """Announce that the listeners answer exactly these challenges now; at once if one of them is new."""
        before, self._shown = self._shown, tuple(sorted(digests))
        if set(self._shown) - set(before):
            self._news.set()

    async def refresh(self) -> None:
        """Read the Lease as it is now. Raises `ApiError`, `ApiUnavailableError`."""
        self.members.take((await self._api.get(self._path))["metadata"].get("annotations") or {})

    @property
    def _path(self) -> str:
        return f"{self._collection}/{self._metadata['name']}"

    async def _beat(self) -> bool:
        """Return whether the annotation is written, or an immediate retry would be useless."""
        self._number += 1
        beat = Beat(self._identity, self._number, self._shown)
        gone: list[str] = self.members.forgotten() if self._leader.held else []
        try:
            await self._say({**dict.fromkeys(gone), self._key: msgspec.json.encode(beat).decode()})
        except ApiUnavailableError as error:
            _log.warning("membership", error=str(error))
            return False
        except ApiError as error:
            _log.warning("membership", error=str(error))
            return error.status == _FORBIDDEN
        return True

    async def _say(self, annotations: dict[str, Any]) -> None:
        body = {"metadata": {"annotations": annotations}}
        try:
            await self._api.merge(self._path, body)
        except ApiError as error:
            if error.status != _MISSING:
                raise
            lease = {"apiVersion": _API_VERSION, "kind": "Lease", "metadata": self._metadata, "spec": {}}
            try:
                await self._api.create(self._collection, lease)
            except ApiError as created:
                if created.status != _CONFLICT:  # another replica was faster
                    raise
            await self._api.merge(self._path, body)

    async def _leave(self) -> None:
        try:
            await self._api.merge(self._path, {"metadata": {"annotations": {self._key: None}}})
        except (ApiError, ApiUnavailableError) as error:
            _log.info("membership not released", error=str(error))

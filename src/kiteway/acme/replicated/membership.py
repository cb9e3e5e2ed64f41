"""This replica among the others: it says that it lives and what it shows, and hears the same of them."""

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
        members: what is seen of all of them, this one too.
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
            identity: this replica's name, its own for as long as it runs.
            leader: who removes what replicas that are gone have left.
            notify: called when the Lease can be followed, or cannot any more.
        """
        self.members = Members()
        self._api = api
        self._collection = collection(_API_VERSION, "leases", namespace)
        self._metadata = {"name": name, "namespace": namespace}
        self._identity = identity
        # A name may be longer than an annotation's.
        self._key = PREFIX + hashlib.sha256(identity.encode()).hexdigest()[:16]
        self._leader = leader
        self._number = 0
        self._shown: tuple[str, ...] = ()
        self._news = asyncio.Event()
        sink = MembersSink(self.members)
        self.reflector = Reflector(api, self._collection, sink, notify, selector=f"metadata.name={name}")

    async def join(self) -> None:
        """Return when the Lease says that this replica lives, or may not: what is to be shown is looked at only then."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            if await self._beat():
                return
            await asyncio.sleep(backoff.pause())

    async def run(self) -> None:
        """Say it again and again until cancelled; then take it back, so that nobody waits for who is gone."""
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
        """Say that the listeners answer exactly these challenges now; at once, where one of them is new."""
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
        """Return whether it is said, or there is no use in trying again at once."""
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
                if created.status != _CONFLICT:  # another one was quicker
                    raise
            await self._api.merge(self._path, body)

    async def _leave(self) -> None:
        try:
            await self._api.merge(self._path, {"metadata": {"annotations": {self._key: None}}})
        except (ApiError, ApiUnavailableError) as error:
            _log.info("membership not given back", error=str(error))

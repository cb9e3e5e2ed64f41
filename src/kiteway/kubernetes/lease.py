"""A Lease (coordination.k8s.io/v1): its holder is the one replica that writes."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import time
from typing import Any, Final

import structlog

from kiteway.kubernetes.api import Api, ApiError, ApiUnavailableError
from kiteway.kubernetes.paths import collection

_log = structlog.get_logger(__name__)

DURATION_SECONDS: Final = 15
"""Seconds without a renewal after which another replica may take the Lease."""
_RENEW_SECONDS: Final = 5.0
_DEADLINE_SECONDS: Final = 10.0
"""Seconds without a renewal after which the holder stops writing, well before another replica may begin."""
_API_VERSION: Final = "coordination.k8s.io/v1"


class Lease:
    """
    This process as a candidate for a Lease.

    Only the clock of this process counts, never that of another machine, as in client-go's leader election.
    """

    def __init__(self, api: Api, namespace: str, name: str, identity: str) -> None:
        self._api = api
        self._collection = collection(_API_VERSION, "leases", namespace)
        self._metadata = {"name": name, "namespace": namespace}
        self._identity = identity
        self._until = 0.0
        self._term = 0
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = 0.0

    @property
    def held(self) -> bool:
        """Whether this replica writes now."""
        return time.monotonic() < self._until

    @property
    def term(self) -> int:
        """The number of the present or last term. Work of an earlier term may now belong to another replica."""
        return self._term

    async def run(self) -> None:
        """Acquire and renew the Lease until cancelled; then release it, so that the next holder need not wait."""
        told = False
        try:
            while True:
                began = time.monotonic()
                try:
                    if await self._try():
                        self._term += 0 if self.held else 1
                        self._until = began + _DEADLINE_SECONDS
                except (ApiError, ApiUnavailableError) as error:
                    _log.warning("lease", error=str(error))
                if told != self.held:
                    told = self.held
                    _log.info("lease", held=told)
                await asyncio.sleep(_RENEW_SECONDS * random.uniform(0.8, 1.0))  # noqa: S311 - spreading load
        finally:
            if self.held:
                self._until = 0.0
                await asyncio.shield(self._release())

    async def _try(self) -> bool:
        try:
            lease = await self._api.get(self._path)
        except ApiError as error:
            if error.status != 404:
                raise
            body = {"apiVersion": _API_VERSION, "kind": "Lease", "metadata": self._metadata, "spec": self._spec(None)}
            return await self._won(self._api.create(self._collection, body))
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        seen = (holder, spec.get("renewTime") or "")
        if seen != self._seen:
            self._seen, self._seen_at = seen, time.monotonic()
        if holder not in {"", self._identity} and time.monotonic() < self._seen_at + DURATION_SECONDS:
            return False
        return await self._won(self._api.replace(self._path, {**lease, "spec": self._spec(spec)}))

    async def _won(self, write: Any) -> bool:
        try:
            await write
        except ApiError as error:
            if error.status != 409:  # another replica was faster
                raise
            return False
        return True

    async def _release(self) -> None:
        try:
            lease = await self._api.get(self._path)
            if lease["spec"].get("holderIdentity") == self._identity:
                spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                await self._api.replace(self._path, {**lease, "spec": spec})
        except (ApiError, ApiUnavailableError) as error:
            _log.info("lease not released", error=str(error))

    @property
    def _path(self) -> str:
        return f"{self._collection}/{self._metadata['name']}"

    def _spec(self, before: dict[str, Any] | None) -> dict[str, Any]:
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = before or {}
        mine = before.get("holderIdentity") == self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": DURATION_SECONDS,
            "acquireTime": before.get("acquireTime") if mine else now,
            "renewTime": now,
            "leaseTransitions": before.get("leaseTransitions", 0) + (0 if mine else 1) if before else 0,
        }

"""Reads an instance: its status, the filter's counts of calls, and a few of Envoy's statistics."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from kiteway.envoy.admin import AdminClient, AdminError
from kiteway.envoy.calls import Calls, CallsClient, CallsError
from kiteway.instance import Instance
from kiteway.report.status import State, Status
from kiteway.status.client import OtherVersionError, read_status

_STATISTICS = (
    r"^(?:kiteway\.(?:refused_total|queued)\..*"
    r"|cluster\.pool/[^.]*\.(?:outlier_detection\.ejections_enforced_total|upstream_rq_retry)"
    r"|http\.(?:https|http|grpc)\.(?:downstream_cx_active|downstream_rq_active))$"
)


_SIGNALS = r"^cluster\.pool/[^.]*\.membership_(?:healthy|total)$"
"""Gauges that change with the health of an endpoint; they cost a fraction of a status."""


class Source(Protocol):
    """Where the page's figures come from."""

    async def status(self) -> Status:
        """Return the status; one with ``answered`` False when there is none."""

    async def calls(self) -> Calls | None:
        """Return the counts of calls; None when Envoy does not answer, or has no filter."""

    async def statistics(self) -> Mapping[str, int]:
        """Return counters and gauges of Envoy by name; none when it does not answer."""

    async def signals(self) -> Mapping[str, int]:
        """Return numbers that change with the health of an endpoint; none when Envoy does not answer."""


class InstanceSource:
    """The running instance, by its sockets."""

    def __init__(self, instance: Instance, admin: AdminClient, calls: CallsClient) -> None:
        self._instance = instance
        self._admin = admin
        self._calls = calls

    async def status(self) -> Status:
        """Return the status; during an upgrade the control plane can be of another version for a moment."""
        try:
            return await asyncio.to_thread(read_status, self._instance)
        except OtherVersionError as error:
            return unanswered(str(error))

    async def calls(self) -> Calls | None:
        """Return the counts of calls."""
        try:
            return await self._calls.read()
        except CallsError:
            return None

    async def statistics(self) -> Mapping[str, int]:
        """Return counters and gauges of Envoy."""
        return await self._read(_STATISTICS)

    async def signals(self) -> Mapping[str, int]:
        """Return the numbers of healthy endpoints of each pool."""
        return await self._read(_SIGNALS, only_gauges=True)

    async def _read(self, pattern: str, *, only_gauges: bool = False) -> Mapping[str, int]:
        try:
            return await self._admin.stats(pattern, only_gauges=only_gauges)
        except AdminError:
            return {}


@contextlib.asynccontextmanager
async def opened(instance: Instance) -> AsyncIterator[InstanceSource]:
    """Open the clients of an instance's sockets; it need not run yet."""
    async with AdminClient(instance.admin_socket) as admin, CallsClient(instance.calls_socket) as calls:
        yield InstanceSource(instance, admin, calls)


def unanswered(reason: str) -> Status:
    """Return the status of an instance that does not answer."""
    return Status(version="", state=State.NOT_READY, reasons=(reason,), answered=False, ready=False, reason=reason)

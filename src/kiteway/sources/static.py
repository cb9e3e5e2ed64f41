"""Endpoints given by hand: names are looked up periodically, because EDS carries addresses only."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable

import msgspec

from kiteway.model import Endpoint, ServiceName

RESOLVE_SECONDS = 10.0
"""Seconds between two look-ups."""


class StaticEndpoint(msgspec.Struct, frozen=True):
    """
    An endpoint given by hand (``--endpoint``).

    Attributes:
        namespace: the Service's.
        service: the Service's name.
        host: an address, or a name that is looked up periodically.
        port: the serving port.
        health_port: the port of its health check, if other than the BackendConfig's.
    """

    namespace: str
    service: str
    host: str
    port: int
    health_port: int | None = None


class StaticEndpoints:
    """Resolves names; a name whose look-up fails keeps its last addresses."""

    def __init__(self, endpoints: Iterable[StaticEndpoint]) -> None:
        self._endpoints = tuple(endpoints)
        self._last: dict[str, tuple[str, ...]] = {}
        self.unresolved: dict[str, str] = {}

    async def resolve(self) -> dict[ServiceName, tuple[Endpoint, ...]]:
        """Return the endpoints by Service."""
        found: dict[ServiceName, list[Endpoint]] = {}
        for endpoint in self._endpoints:
            members = found.setdefault((endpoint.namespace, endpoint.service), [])
            members += (
                Endpoint(address, endpoint.port, endpoint.health_port)
                for address in await self._addresses(endpoint.host)
            )
        return {service: tuple(sorted(set(members))) for service, members in found.items()}

    async def _addresses(self, host: str) -> tuple[str, ...]:
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            self.unresolved[host] = error.strerror or str(error)
            return self._last.get(host, ())
        self.unresolved.pop(host, None)
        addresses = sorted({str(info[4][0]) for info in infos})
        # A name with addresses of both families is taken for one endpoint, not two.
        version_4 = [address for address in addresses if ":" not in address]
        self._last[host] = tuple(version_4 or addresses)
        return self._last[host]

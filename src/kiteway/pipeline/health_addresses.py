"""The addresses at which the endpoints of a pool answer Milvus's own health check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from kiteway.model import Endpoint, HealthCheckType, Pool, PoolKey
from kiteway.translate.shared.health import HEALTH_PATH


class Address(NamedTuple):
    """The address of a health check."""

    host: str
    port: int


HealthAddresses = Mapping[PoolKey, tuple[Address, ...]]
"""The addresses of the health checks of each pool that has Milvus's own (HTTP, ``/healthz``)."""


def health_addresses(pool: Pool, endpoints: tuple[Endpoint, ...]) -> tuple[Address, ...]:
    """Return the health check addresses of a pool's endpoints; none if its check is not Milvus's own."""
    check = pool.health_check
    if check is None or check.type is not HealthCheckType.HTTP or check.request_path != HEALTH_PATH:
        return ()
    return tuple([Address(e.address, e.health_port or check.port or e.port) for e in endpoints])

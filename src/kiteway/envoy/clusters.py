"""Envoy's list of its clusters and their endpoints, ``/clusters`` of the admin API."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from kiteway.report.pools import EndpointFailure


class Attempts(NamedTuple):
    """How many attempts to call an endpoint there were since Envoy's start, and how many there are now (``active``)."""

    total: int = 0
    success: int = 0
    error: int = 0
    active: int = 0


_NONE: Final = Attempts()


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """
    One endpoint of a cluster.

    Attributes:
        address: ``host:port``, or the path of a unix socket.
        failures: why it gets no calls; empty when it is healthy.
        weight: its load balancing weight.
        attempts: Envoy's counts of attempts.
        host: the IP address; empty for a unix socket.
    """

    address: str
    failures: frozenset[EndpointFailure]
    weight: int
    attempts: Attempts = _NONE
    host: str = ""

    @property
    def healthy(self) -> bool:
        """Whether it gets calls."""
        return not self.failures


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """One cluster and its endpoints."""

    name: str
    endpoints: tuple[EndpointStatus, ...]


# The messages of admin/v3/clusters.proto, in proto3's JSON: 64-bit integers are strings, and what is zero or false is absent.


class _SocketAddress(msgspec.Struct):
    address: str
    port_value: int = 0


class _Pipe(msgspec.Struct):
    path: str = ""


class _Address(msgspec.Struct):
    socket_address: _SocketAddress | None = None
    pipe: _Pipe = msgspec.field(default_factory=_Pipe)


class _Statistic(msgspec.Struct):
    name: str
    value: str | int = 0


class _Host(msgspec.Struct):
    address: _Address
    health_status: dict[str, bool | str] = {}
    stats: list[_Statistic] = []
    weight: int = 1


class _Cluster(msgspec.Struct):
    name: str
    host_statuses: list[_Host] = []


class _Clusters(msgspec.Struct):
    cluster_statuses: list[msgspec.Raw] = []


_DECODER = msgspec.json.Decoder(_Clusters)
_CLUSTER_DECODER = msgspec.json.Decoder(_Cluster)


def read_clusters(text: bytes) -> dict[str, ClusterStatus]:
    """
    Read the answer to ``/clusters?format=json``: megabytes in a large installation, so one cluster is decoded at a time.

    Raises:
        msgspec.DecodeError: it is something else.
    """
    clusters = map(_CLUSTER_DECODER.decode, _DECODER.decode(text).cluster_statuses)
    return {
        cluster.name: ClusterStatus(cluster.name, tuple(map(_endpoint, cluster.host_statuses))) for cluster in clusters
    }


def _endpoint(status: _Host) -> EndpointStatus:
    socket = status.address.socket_address
    return EndpointStatus(
        address=_host_port(socket.address, socket.port_value) if socket else status.address.pipe.path,
        failures=_failures(tuple(status.health_status.items())),
        weight=status.weight,
        attempts=_attempts(status.stats),
        host=socket.address if socket else "",
    )


def _attempts(stats: Iterable[_Statistic]) -> Attempts:
    counted = {statistic.name: int(statistic.value) for statistic in stats if statistic.value}
    if not counted:
        return _NONE
    return Attempts(*(counted.get(f"rq_{name}", 0) for name in Attempts._fields))


# There are few combinations for thousands of endpoints.
@functools.lru_cache(maxsize=256)
def _failures(health: tuple[tuple[str, bool | str], ...]) -> frozenset[EndpointFailure]:
    failures = {EndpointFailure(name) for name, value in health if value is True}
    # UNKNOWN means that EDS gave no health.
    given = str(dict(health).get("eds_health_status", "HEALTHY"))
    if given not in {"HEALTHY", "UNKNOWN"}:
        failures.add(EndpointFailure(f"eds_{given.lower()}"))
    return frozenset(failures)


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

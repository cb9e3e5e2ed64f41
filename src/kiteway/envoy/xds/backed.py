"""Hosts of the model with the pools of their routes."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass

from kiteway.model import Pool, PoolKey
from kiteway.model import VirtualHost as ModelHost

Backends = tuple[Pool | None, ...]
"""The pools of a host's routes, in their order."""


@dataclass(frozen=True, slots=True)
class Backed:
    """
    A host and the pools of its routes.

    Attributes:
        host: the host.
        backends: the pools of its routes.
        replicas: the number of live replicas of Kiteway; 1 for a host without a policy that the replicas share.
    """

    host: ModelHost
    backends: Backends
    replicas: int = 1


def with_pools(
    last: tuple[Backed, ...] | None, hosts: Iterable[ModelHost], pools: Iterable[Pool], replicas: int
) -> tuple[Backed, ...]:
    """Return the hosts with their pools; the object in ``last`` where host, pools and shares are unchanged."""
    known = {id(each.host): each for each in last or ()}
    by_key: dict[PoolKey | None, Pool] = {pool.key: pool for pool in pools}
    found = []
    for host in hosts:
        backends = tuple([by_key.get(route.pool) for route in host.routes])
        shares = replicas if any(route.policy.for_filter for route in host.routes) else 1
        before = known.get(id(host))
        if before is not None and before.replicas == shares and all(map(operator.is_, before.backends, backends)):
            found.append(before)
        else:
            found.append(Backed(host, backends, shares))
    return tuple(found)

"""What did not change is the very value of last time, so that later stages need not look into it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable
from typing import TypeVar

from kiteway.model import LoadBalancer

T = TypeVar("T")


def with_unchanged(before: LoadBalancer, now: LoadBalancer) -> LoadBalancer:
    """Return ``now`` with the values of ``before`` where they are equal."""
    return dataclasses.replace(
        now,
        hosts=_of(before.hosts, now.hosts, lambda host: host.domain),
        pools=_of(before.pools, now.pools, lambda pool: pool.key),
        certificates=_of(before.certificates, now.certificates, lambda certificate: certificate.name),
        server_names=_of(before.server_names, now.server_names, lambda names: names.names),
    )


def _of(before: tuple[T, ...], now: tuple[T, ...], name: Callable[[T], Hashable]) -> tuple[T, ...]:
    known = {name(value): value for value in before}
    return tuple(old if (old := known.get(name(value))) == value and old is not None else value for value in now)

"""Replaces equal values by the previous objects, so that later stages see by identity what is unchanged."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Hashable
from typing import TypeVar

from kiteway.model import LoadBalancer, differ_by_path

T = TypeVar("T")


def with_unchanged(before: LoadBalancer, now: LoadBalancer) -> LoadBalancer:
    """Return ``now`` with the values of ``before`` where they are equal, and its paths canonical if they were."""
    return dataclasses.replace(
        now,
        canonical_paths=before.canonical_paths or differ_by_path(before.hosts),
        hosts=_of(before.hosts, now.hosts, lambda host: host.domain),
        pools=_of(before.pools, now.pools, lambda pool: pool.key),
        certificates=_of(before.certificates, now.certificates, lambda certificate: certificate.name),
        bundles=_of(before.bundles, now.bundles, lambda bundle: bundle.source),
        server_names=_of(before.server_names, now.server_names, lambda names: names.names),
    )


def _of(before: tuple[T, ...], now: tuple[T, ...], name: Callable[[T], Hashable]) -> tuple[T, ...]:
    if _identical(before, now):
        return before
    staying = set(map(id, before)) & set(map(id, now))
    known = {name(value): value for value in before if id(value) not in staying}
    found = tuple([v if id(v) in staying else _either(known.get(name(v)), v) for v in now])
    return before if _identical(before, found) else found


def _identical(before: tuple[T, ...], now: tuple[T, ...]) -> bool:
    return len(before) == len(now) and all(map(operator.is_, before, now))


def _either(before: T | None, now: T) -> T:
    return before if before is not None and before == now else now

"""Which replica holds the Lease, and writes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from kiteway.kubernetes.api import Api, ApiError
from kiteway.kubernetes.lease import DURATION_SECONDS, Lease


class Leases:
    """An API server with one Lease."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.writes = 0

    async def get(self, _path: str) -> dict[str, Any]:
        """Return the Lease."""
        if self.lease is None:
            raise ApiError(404, "NotFound", "")
        return self.lease

    async def create(self, _path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make the Lease."""
        return await self.replace(_path, {**body, "metadata": {"resourceVersion": "0"}})

    async def replace(self, _path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Write the Lease, if it did not change meanwhile."""
        if self.lease is not None and body["metadata"] != self.lease["metadata"]:
            raise ApiError(409, "Conflict", "")
        self.writes += 1
        self.lease = {**body, "metadata": {"resourceVersion": str(self.writes)}}
        return self.lease


def test_one_holds_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The second replica gets the Lease only if the first has not renewed it for the whole duration, as the
    second sees it.
    """
    now = 1000.0
    monkeypatch.setattr("kiteway.kubernetes.lease.time.monotonic", lambda: now)
    leases = Leases()
    first, second = (Lease(cast("Api", leases), "ns", "kiteway", name) for name in ("first", "second"))

    assert asyncio.run(first._try())
    assert not asyncio.run(second._try())
    now += DURATION_SECONDS - 1
    assert asyncio.run(first._try())
    now += DURATION_SECONDS - 1
    assert not asyncio.run(second._try())
    now += DURATION_SECONDS
    assert asyncio.run(second._try())
    assert not asyncio.run(first._try())
    assert leases.lease is not None
    assert leases.lease["spec"]["leaseTransitions"] == 1


def test_each_time_of_holding_it_is_another_term(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A renewal in time stays in the same term; a holder that was too late begins another one, even if no other
    took the Lease.
    """
    now = 1000.0
    monkeypatch.setattr("kiteway.kubernetes.lease.time.monotonic", lambda: now)
    rounds = iter([0.0, 5.0, 60.0])
    lease = Lease(cast("Api", Leases()), "ns", "kiteway", "one")
    terms: list[int] = []

    async def sleep(_seconds: float) -> None:
        nonlocal now
        terms.append(lease.term)
        now += next(rounds, 1.0)
        if len(terms) == 4:
            raise asyncio.CancelledError

    monkeypatch.setattr("kiteway.kubernetes.lease.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(lease.run())

    assert terms == [1, 1, 1, 2]


def test_a_race_for_the_lease_has_one_winner() -> None:
    """Of two replicas that write at the same time the slower one is refused and does not hold the Lease."""
    leases = Leases()
    asyncio.run(leases.create("", {"spec": {"holderIdentity": "", "leaseTransitions": 0}}))
    stale = dict(leases.lease or {})
    assert asyncio.run(Lease(cast("Api", leases), "ns", "kiteway", "quick")._try())

    async def late(_path: str) -> dict[str, Any]:
        return stale

    leases.get = late  # type: ignore[method-assign]
    assert not asyncio.run(Lease(cast("Api", leases), "ns", "kiteway", "slow")._try())


def test_a_refused_lease_is_no_lost_race() -> None:
    """A refusal other than a conflict is raised, because a user must remove its cause."""
    leases = Leases()

    async def refuse(_path: str, _body: Mapping[str, Any]) -> dict[str, Any]:
        raise ApiError(403, "Forbidden", "no")

    leases.create = refuse  # type: ignore[method-assign, assignment]
    with pytest.raises(ApiError, match="no"):
        asyncio.run(Lease(cast("Api", leases), "ns", "kiteway", "me")._try())

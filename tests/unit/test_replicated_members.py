"""Which replicas are live, and which challenges they show."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import msgspec

from kiteway.acme.replicated.members import FORGET_SECONDS, PREFIX, Beat, Members
from kiteway.acme.replicated.membership import Membership
from kiteway.acme.storage import LEASE_SECONDS
from kiteway.kubernetes.api import Api
from tests.support.memory_api import MemoryApi

LEASE = "/apis/coordination.k8s.io/v1/namespaces/kiteway-system/leases/kiteway-replicas"


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def _said(name: str, number: int, *shown: str) -> tuple[str, str]:
    return f"{PREFIX}{name}", msgspec.json.encode(Beat(name, number, shown)).decode()


def test_live_replicas_are_waited_for() -> None:
    """The leader waits for each live replica until it reports that it shows the challenge."""
    members = Members(Clock())
    members.take(dict([_said("a", 1, "x"), _said("b", 1), _said("c", 1, "y")]))

    assert members.waited_for("x") == ["b", "c"]
    members.take(dict([_said("a", 2, "x"), _said("b", 2, "x"), _said("c", 2, "x", "y")]))
    assert members.waited_for("x") == []
    assert members.living == 3


def test_silent_replicas_are_not_waited_for() -> None:
    """A replica whose annotation does not change for as long as a Lease lasts is not live, whatever its clock says."""
    clock = Clock()
    members = Members(clock)
    silent = _said("b", 1)
    members.take(dict([_said("a", 1, "x"), silent]))
    for number in (2, 3):
        clock.now += LEASE_SECONDS / 3
        members.take(dict([_said("a", number, "x"), silent]))
    assert members.waited_for("x") == ["b"]
    assert members.living == 2

    clock.now += LEASE_SECONDS / 3
    members.take(dict([_said("a", 4, "x"), silent]))
    assert members.waited_for("x") == []
    assert members.living == 1
    members.take(dict([_said("a", 5, "x"), _said("b", 2)]))
    assert members.waited_for("x") == ["b"]
    assert members.living == 2


def test_a_silent_api_server_ends_no_replica() -> None:
    """The number of live replicas stays during an outage, although the annotations were last seen at different times."""
    clock = Clock()
    members = Members(clock)
    beats = {name: _said(name, 1) for name in "abc"}
    members.take(dict(beats.values()))
    for name in "abc":
        clock.now += 1.5
        beats[name] = _said(name, 2)
        members.take(dict(beats.values()))
    found = set()
    for _ in range(60):
        clock.now += 1
        found.add(members.living)
    assert found == {3}

    for name in "bca":
        beats[name] = _said(name, 3)
        members.take(dict(beats.values()))
        found.add(members.living)
        clock.now += 1.5
    assert found == {3}


def test_a_replica_that_ended_during_an_outage_is_found_after_it() -> None:
    """When the API server speaks again, a replica that stays silent for as long as a Lease lasts does not count."""
    clock = Clock()
    members = Members(clock)
    ended = _said("b", 1)
    members.take(dict([_said("a", 1), ended]))
    clock.now += 60
    for number in range(2, 6):
        members.take(dict([_said("a", number), ended]))
        assert members.living == (2 if number < 5 else 1)
        clock.now += LEASE_SECONDS / 3


def test_a_new_leader_waits_for_every_replica_it_sees_first() -> None:
    """An annotation seen for the first time counts as written just now."""
    members = Members(Clock())
    members.take(dict([_said("long-dead", 7)]))

    assert members.waited_for("x") == ["long-dead"]


def test_replicas_that_left_are_not_waited_for() -> None:
    """A replica that removed its annotation does not count; neither do other or invalid annotations."""
    members = Members(Clock())
    members.take(dict([_said("a", 1), ("example.com/other", "{}"), (f"{PREFIX}rubbish", "{")]))
    assert members.waited_for("x") == ["a"]

    members.take({})
    assert members.waited_for("x") == []


def test_old_annotations_are_removed() -> None:
    """Annotations of Pods that ended are removed, so the Lease does not grow for ever."""
    clock = Clock()
    members = Members(clock)
    members.take(dict([_said("a", 1)]))
    assert members.forgotten() == []
    clock.now += FORGET_SECONDS

    assert members.forgotten() == [f"{PREFIX}a"]


class Leader:
    """Leads, or not."""

    term = 1

    def __init__(self, *, held: bool) -> None:
        self.held = held


def _replica(api: MemoryApi, name: str, *, held: bool = False) -> Membership:
    leader = Leader(held=held)
    return Membership(
        cast("Api", api), "kiteway-system", "kiteway-replicas", identity=name, leader=leader, notify=lambda: None
    )


def _names(api: MemoryApi) -> list[str]:
    annotations: dict[str, Any] = api.objects[LEASE]["metadata"].get("annotations", {})
    return sorted(msgspec.json.decode(text, type=Beat).name for text in annotations.values())


def test_replicas_meet_in_one_lease() -> None:
    """The first replica makes the Lease, each writes its own annotation, and removes it when it ends normally."""

    async def scenario() -> None:
        api = MemoryApi()
        one, two = _replica(api, "one"), _replica(api, "two" * 100)
        await one.join()
        await two.join()
        assert _names(api) == ["one", "two" * 100]

        tasks = [asyncio.create_task(each.run()) for each in (one, two)]
        two.show(["x"])
        async with asyncio.timeout(30):
            while one.members.waited_for("x") != ["one"]:  # noqa: ASYNC110 - the watch runs meanwhile
                await asyncio.sleep(0)
        one.show(["x"])
        async with asyncio.timeout(30):
            while two.members.waited_for("x"):  # noqa: ASYNC110 - the watch runs meanwhile
                await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks[1:], return_exceptions=True)
        assert _names(api) == ["one"]
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(scenario())


def test_the_leader_removes_annotations_of_dead_replicas() -> None:
    """The leader's next write removes an old annotation; a follower's does not."""

    async def scenario() -> None:
        api = MemoryApi()
        await _replica(api, "dead").join()
        follower, leader = _replica(api, "follower"), _replica(api, "leader", held=True)
        for each in (follower, leader):
            clock = Clock()
            each.members = Members(clock)
            await each.refresh()
            clock.now += FORGET_SECONDS
        await follower.join()
        assert _names(api) == ["dead", "follower"]
        await leader.join()
        assert _names(api) == ["follower", "leader"]

    asyncio.run(scenario())

"""The storage in Secrets: the leader writes, all replicas follow, and no unseen change is overwritten."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from kiteway.acme.replicated.mirror import Mirror
from kiteway.acme.replicated.secrets import SECRET_TYPE, Folder, secret_name, secret_of
from kiteway.acme.replicated.storage import SecretStorage
from kiteway.acme.storage import LeaseLostError, LockedError
from kiteway.kubernetes.api import Api
from tests.support.kiteway import wait_until
from tests.support.memory_api import MemoryApi, running_loop

FOLDER = "acme/ca/certificates/default/milvus"
PATH = f"/api/v1/namespaces/kiteway-system/secrets/{secret_name('kiteway', FOLDER)}"


class Leader:
    """Who leads, set by hand."""

    def __init__(self, *, held: bool = True) -> None:
        self.held = held
        self.term = 1


class World:
    """An API server and its replicas."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.api = MemoryApi()
        self.loop = loop

    def replica(self, leader: Leader | None = None, file: Path | None = None, owner: str = "kiteway") -> SecretStorage:
        """Start a replica; wait until it has seen what is there, unless nobody answers."""

        async def start() -> SecretStorage:
            storage = SecretStorage(
                cast("Api", self.api), "kiteway-system", owner, leader or Leader(held=False), file=file
            )
            self.task = asyncio.ensure_future(storage.run())
            return storage

        storage = asyncio.run_coroutine_threadsafe(start(), self.loop).result(10)
        if not self.api.away:
            wait_until(lambda: storage.reflector.synced, "the Secrets are listed")
        return storage


@pytest.fixture
def world() -> Iterator[World]:
    """Return a world without replicas."""
    with running_loop() as loop:
        yield World(loop)


def test_followers_see_what_the_leader_writes(world: World) -> None:
    """Other replicas get a stored value without a request of their own, and are notified of its folder."""
    leader, follower = world.replica(Leader()), world.replica()
    told: list[str] = []
    follower.listeners.append(told.append)

    with leader.lock(FOLDER):
        leader.store(f"{FOLDER}/certificate", b"chain and key")
    wait_until(lambda: follower.exists(f"{FOLDER}/certificate"), "the follower sees it")
    before = len(world.api.asked)

    assert follower.load(f"{FOLDER}/certificate") == b"chain and key"
    assert follower.list("acme") == [f"{FOLDER}/certificate"]
    assert told == [FOLDER]
    assert len(world.api.asked) == before


def test_only_the_leader_locks(world: World) -> None:
    """A replica without the Lease gets no lock."""
    follower = world.replica()

    with pytest.raises(LockedError, match="another replica leads"), follower.lock(FOLDER):
        pass


def test_a_lock_ends_with_its_term(world: World) -> None:
    """A replica that lost the Lease must not go on, even if it holds it again; it writes nothing."""
    leader = Leader()
    storage = world.replica(leader)
    with storage.lock(FOLDER) as lease:
        lease.check()
        leader.held = False
        with pytest.raises(LeaseLostError):
            lease.check()
        leader.held, leader.term = True, 2
        with pytest.raises(LeaseLostError):
            lease.check()
        with pytest.raises(LeaseLostError):
            storage.store(f"{FOLDER}/order", b"late")
    assert world.api.objects == {}
    with storage.lock(FOLDER) as lease:
        lease.check()


def test_under_a_lock_the_secret_itself_is_read(world: World) -> None:
    """A leader whose watch lags behind sees the last write of the leader before."""
    old = world.replica(Leader())
    new = world.replica(Leader())
    world.loop.call_soon_threadsafe(world.task.cancel)  # the new one's watch is broken
    with old.lock(FOLDER):
        old.store(f"{FOLDER}/order", b"url")

    assert not new.exists(f"{FOLDER}/order")
    with new.lock(FOLDER):
        # The watch has ended with the task, not the connection.
        new._closed = False
        assert new.load(f"{FOLDER}/order") == b"url"


def test_a_late_write_changes_nothing(world: World) -> None:
    """
    Of two replicas that both believe to lead, the one with the old state gets an error, and the other's value
    stays.
    """
    old, new = world.replica(Leader()), world.replica(Leader())
    with old.lock(FOLDER):
        old.store(f"{FOLDER}/order", b"1")
        with new.lock(FOLDER):
            new.store(f"{FOLDER}/order", b"2")
        with pytest.raises(LeaseLostError, match="another replica"):
            old.store(f"{FOLDER}/order", b"3")
        with pytest.raises(LeaseLostError, match="another replica"):
            old.delete(f"{FOLDER}/order")

    wait_until(lambda: old.load(f"{FOLDER}/order") == b"2", "the value is the new one's")


def test_another_value_of_the_folder_is_no_conflict(world: World) -> None:
    """A user's request that comes while the leader writes is preserved, and so is the leader's value."""
    leader, person = world.replica(Leader()), world.replica()
    with leader.lock(FOLDER):
        leader.store(f"{FOLDER}/order", b"1")
        person.store(f"{FOLDER}/demand", b"now")
        leader.store(f"{FOLDER}/order", b"2")

    found = world.api.objects[PATH]["data"]
    assert sorted(found) == ["demand", "order"]
    assert leader.load(f"{FOLDER}/order") == b"2"


def test_a_write_whose_answer_was_lost(world: World) -> None:
    """If the connection breaks after the write, the write is retried, and the replica's own change is no conflict."""
    leader = world.replica(Leader())
    with leader.lock(FOLDER):
        leader.store(f"{FOLDER}/order", b"1")
        world.api.lost_answers = 1
        leader.store(f"{FOLDER}/order", b"2")
        leader.store(f"{FOLDER}/order", b"3")

    assert leader.load(f"{FOLDER}/order") == b"3"


def test_an_outage_is_waited_out_while_the_lease_lasts(world: World) -> None:
    """The result of the CA is written when the API server is back; without the Lease it is not."""
    leader = Leader()
    storage = world.replica(leader)
    with storage.lock(FOLDER):
        storage.exists(f"{FOLDER}/order")
        world.api.away = True
        world.loop.call_soon_threadsafe(world.loop.call_later, 1.0, setattr, world.api, "away", False)
        storage.store(f"{FOLDER}/order", b"1")
        world.api.away = True
        world.loop.call_soon_threadsafe(world.loop.call_later, 1.0, setattr, leader, "held", False)
        with pytest.raises(LeaseLostError):
            storage.store(f"{FOLDER}/order", b"2")


def test_a_deleted_secret_is_created_again(world: World) -> None:
    """A Secret deleted during the leader's work is created again by the next write."""
    leader = world.replica(Leader())
    with leader.lock(FOLDER):
        leader.store(f"{FOLDER}/order", b"1")
        world.loop.call_soon_threadsafe(world.api.remove, PATH)
        wait_until(lambda: PATH not in world.api.objects, "it is gone")
        leader.store(f"{FOLDER}/certificate", b"2")

    assert list(world.api.objects[PATH]["data"]) == ["certificate"]


def test_what_a_secret_looks_like(world: World) -> None:
    """It has its own type, a readable name, and its owner and folder."""
    leader = world.replica(Leader())
    with leader.lock(FOLDER):
        leader.store(f"{FOLDER}/order", b"1")

    [(path, secret)] = world.api.objects.items()
    assert path.rpartition("/")[2].startswith("kiteway-default-milvus-")
    assert secret["type"] == SECRET_TYPE
    assert secret["metadata"]["annotations"]["kiteway.io/storage-folder"] == FOLDER


def test_a_watch_that_is_behind_takes_nothing_back() -> None:
    """An older state from the watch does not replace a value that this process has written."""
    told: list[str] = []
    mirror = Mirror("kiteway", told.append)
    mirror.take(FOLDER, Folder("10", {"order": b"new"}))

    mirror.put(secret_of("kiteway", "kiteway-system", FOLDER, Folder("9", {"order": b"old"})))
    mirror.replace([secret_of("kiteway", "kiteway-system", FOLDER, Folder("9", {"order": b"old"}))])
    assert mirror.get(FOLDER).values == {"order": b"new"}

    mirror.put(secret_of("kiteway", "kiteway-system", FOLDER, Folder("11", {"order": b"newer"})))
    assert mirror.get(FOLDER).values == {"order": b"newer"}
    assert told == [FOLDER] * 2


def test_two_kiteways_in_one_namespace_do_not_meet(world: World) -> None:
    """Kiteways of two classes have separate accounts and certificates."""
    one, two = world.replica(Leader()), world.replica(Leader(), owner="kiteway-internal")
    for storage in (one, two):
        with storage.lock(FOLDER):
            assert not storage.exists(f"{FOLDER}/order")
            storage.store(f"{FOLDER}/order", b"1")

    assert len(world.api.objects) == 2


def test_a_restart_while_the_api_server_is_away(world: World, tmp_path: Path) -> None:
    """The last state is read from a 0600 file; without the file nothing is known."""
    file = tmp_path / "acme.json"
    leader = world.replica(Leader(), file)
    with leader.lock(FOLDER):
        leader.store(f"{FOLDER}/certificate", b"chain and key")
    wait_until(lambda: file.exists() and b"certificate" in file.read_bytes(), "it is kept")
    world.api.away = True

    again, unknowing = world.replica(Leader(), file), world.replica()

    assert again.complete
    assert again.load(f"{FOLDER}/certificate") == b"chain and key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert not unknowing.complete


def test_rubbish_in_a_secret_counts_as_none(world: World) -> None:
    """A damaged value counts as missing."""
    leader, follower = world.replica(Leader()), world.replica()
    with leader.lock(FOLDER):
        leader.store(f"{FOLDER}/order", b"1")
        leader.store(f"{FOLDER}/certificate", b"2")
    broken: dict[str, Any] = world.api.objects[PATH]
    broken["data"]["order"] = "%"
    asyncio.run_coroutine_threadsafe(world.api.replace(PATH, broken), world.loop).result(10)

    wait_until(lambda: not follower.exists(f"{FOLDER}/order"), "the follower sees it")
    assert follower.load(f"{FOLDER}/certificate") == b"2"

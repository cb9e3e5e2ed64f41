"""The properties of every storage: whole values under keys, and a lock with at most one holder."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from kiteway.acme.replicated.storage import SecretStorage
from kiteway.acme.storage import FileStorage, LockedError, NotStoredError, Storage
from kiteway.kubernetes.api import Api
from tests.support.memory_api import MemoryApi, running_loop


class Leading:
    """A replica that leads."""

    held = True
    term = 1


async def _secrets() -> SecretStorage:
    return SecretStorage(cast("Api", MemoryApi()), "kiteway-system", "kiteway", Leading())


@pytest.fixture(params=["files", "secrets"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """Return an empty storage of either kind."""
    if request.param == "files":
        yield FileStorage(tmp_path / "state")
        return
    with running_loop() as loop:
        yield asyncio.run_coroutine_threadsafe(_secrets(), loop).result(10)


def test_a_value_is_stored_and_removed(storage: Storage) -> None:
    """A stored value is loaded, replaced, listed and deleted; deleting it twice is no error."""
    storage.store("acme/ca/account", b"1")
    storage.store("acme/ca/account", b"2")
    storage.store("acme/ca/certificates/default/a/order", b"3")

    assert storage.load("acme/ca/account") == b"2"
    assert storage.list("acme/ca") == ["acme/ca/account", "acme/ca/certificates/default/a/order"]
    assert storage.exists("acme/ca/account")

    storage.delete("acme/ca/account")
    storage.delete("acme/ca/account")

    assert not storage.exists("acme/ca/account")
    with pytest.raises(NotStoredError):
        storage.load("acme/ca/account")


def test_a_folder_is_no_value(storage: Storage) -> None:
    """A key that only has keys below it has no value."""
    storage.store("a/b/c", b"")

    with pytest.raises(NotStoredError):
        storage.load("a/b")


@pytest.mark.parametrize("key", ["../a", "a/../b", "/etc/passwd", "a//b", "", "a/.hidden", "a\0b"])
def test_a_key_does_not_leave_the_folder(storage: Storage, key: str) -> None:
    """A key that is not a path of plain segments is refused."""
    with pytest.raises(ValueError, match="is no storage key"):
        storage.store(key, b"")


def test_a_write_under_a_lock_is_read_at_once(storage: Storage) -> None:
    """The holder reads its own write at once, and all others read it afterwards."""
    storage.store("a/b/order", b"before")
    with storage.lock("a/b"):
        assert storage.load("a/b/order") == b"before"
        storage.store("a/b/order", b"1")
        storage.store("a/b/certificate", b"2")
        storage.delete("a/b/order")
        assert not storage.exists("a/b/order")
        assert storage.load("a/b/certificate") == b"2"

    assert storage.list("a") == ["a/b/certificate"]


def test_one_holder_at_a_time(storage: Storage) -> None:
    """A held lock is refused to others at once, other locks are not, and it is free afterwards."""
    with storage.lock("a"):
        with pytest.raises(LockedError), storage.lock("a"):
            pass
        with storage.lock("b"):
            pass
    with storage.lock("a") as lease:
        lease.check()


def test_of_many_threads_one_gets_it(storage: Storage) -> None:
    """Of 16 threads that try at the same time exactly one gets the lock."""
    barrier, release = threading.Barrier(16), threading.Event()
    won: list[int] = []
    lost: list[int] = []

    def work(number: int) -> None:
        barrier.wait()
        try:
            with storage.lock("a"):
                won.append(number)
                release.wait(10)
        except LockedError:
            lost.append(number)
            if len(lost) == 15:
                release.set()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(won), len(lost)) == (1, 15)

"""What every storage promises: whole values under keys, and a lock that one holds at a time."""

from __future__ import annotations

import asyncio
import multiprocessing
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from kiteway.certificates.replicated.storage import SecretStorage
from kiteway.certificates.storage import FileStorage, LeaseLostError, LockedError, NotStoredError, Storage
from kiteway.sources.kubernetes.api import Api
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


@pytest.fixture
def files(tmp_path: Path) -> FileStorage:
    """Return an empty storage in files."""
    return FileStorage(tmp_path / "state")


def test_a_value_is_stored_and_removed(storage: Storage) -> None:
    """What was stored is loaded, replaced, listed and deleted; deleting twice is no error."""
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
    """What is no path of plain segments is refused."""
    with pytest.raises(ValueError, match="is no storage key"):
        storage.store(key, b"")


def test_nobody_else_may_read(tmp_path: Path, files: FileStorage) -> None:
    """Files are 0600, every folder is 0700, whatever the umask."""
    files.store("acme/ca/account", b"key")
    with files.lock("acme/ca/account"):
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").rglob("*")}

    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}


def test_a_failed_store_leaves_the_value_before(tmp_path: Path, files: FileStorage) -> None:
    """When the new value cannot be put in place the old one is still there, and no half of a file."""
    files.store("a/b", b"old")
    (tmp_path / "state/a/c").mkdir()

    with pytest.raises(OSError, match="directory"):
        files.store("a/c", b"new")

    assert files.load("a/b") == b"old"
    assert sorted(path.name for path in (tmp_path / "state/a").iterdir()) == ["b", "c"]


def test_what_is_stored_under_a_lock_is_read_at_once(storage: Storage) -> None:
    """The holder reads what it has written, and so does everybody afterwards."""
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
    """A lock that is held is refused to others at once, other locks are not, and it is free afterwards."""
    with storage.lock("a"):
        with pytest.raises(LockedError), storage.lock("a"):
            pass
        with storage.lock("b"):
            pass
    with storage.lock("a") as lease:
        lease.check()


def test_of_many_threads_one_gets_it(storage: Storage) -> None:
    """Of 16 threads that try at the same moment exactly one gets the lock."""
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


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_lease_that_ran_out_is_another_s(tmp_path: Path) -> None:
    """A holder that slept past its lease loses it: another gets the lock, and the first learns of it."""
    clock = Clock()
    first = FileStorage(tmp_path, lease_seconds=3600, clock=clock)
    second = FileStorage(tmp_path, lease_seconds=3600, clock=clock)
    with first.lock("a") as lease:
        lease.check()
        clock.now += 3601
        with second.lock("a") as other:
            with pytest.raises(LeaseLostError):
                lease.check()
            other.check()
    with second.lock("a"):
        pass


def test_a_lease_is_renewed(tmp_path: Path) -> None:
    """A holder that lives keeps the lock far longer than a lease."""
    storage = FileStorage(tmp_path, lease_seconds=0.3)
    with storage.lock("a") as lease:
        waited = threading.Event().wait(1.0)
        lease.check()
        with pytest.raises(LockedError), storage.lock("a"):
            pass
    assert not waited


def _hold(root: Path, held: multiprocessing.synchronize.Event) -> None:
    with FileStorage(root, lease_seconds=2.0).lock("a"):
        held.set()
        threading.Event().wait()


def test_a_killed_holder_blocks_for_one_lease(tmp_path: Path) -> None:
    """After kill -9 the lock is refused for the rest of the lease, and then given."""
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    process = context.Process(target=_hold, args=(tmp_path, held))
    process.start()
    try:
        assert held.wait(30)
    finally:
        process.kill()
        process.join()
    storage = FileStorage(tmp_path, lease_seconds=2.0)
    with pytest.raises(LockedError), storage.lock("a"):
        pass
    taken = False
    for _ in range(200):
        try:
            with storage.lock("a"):
                taken = True
                break
        except LockedError:
            threading.Event().wait(0.05)
    assert taken


def test_a_torn_lease_file_blocks_nobody(tmp_path: Path) -> None:
    """A lock file with rubbish in it counts as free."""
    storage = FileStorage(tmp_path)
    with storage.lock("a"):
        pass
    (tmp_path / "locks/a").write_bytes(b"{")
    with storage.lock("a") as lease:
        lease.check()

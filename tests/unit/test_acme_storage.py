"""The storage in files: private, atomic, and with a lock that ends with its holder."""

from __future__ import annotations

import multiprocessing
import stat
import threading
from pathlib import Path

import pytest

from kiteway.acme.storage import FileStorage, LeaseLostError, LockedError


@pytest.fixture
def files(tmp_path: Path) -> FileStorage:
    """Return an empty storage in files."""
    return FileStorage(tmp_path / "state")


def test_only_the_owner_may_read(tmp_path: Path, files: FileStorage) -> None:
    """Files are 0600, every folder is 0700, whatever the umask."""
    files.store("acme/ca/account", b"key")
    with files.lock("acme/ca/account"):
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").rglob("*")}

    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}


def test_a_failed_store_leaves_the_value_before(tmp_path: Path, files: FileStorage) -> None:
    """If the new value cannot be stored, the old one is unchanged, and no partial file is left."""
    files.store("a/b", b"old")
    (tmp_path / "state/a/c").mkdir()

    with pytest.raises(OSError, match="directory"):
        files.store("a/c", b"new")

    assert files.load("a/b") == b"old"
    assert sorted(path.name for path in (tmp_path / "state/a").iterdir()) == ["b", "c"]


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_lease_that_ran_out_is_another_s(tmp_path: Path) -> None:
    """A holder that was stopped for longer than its lease loses it: another gets the lock, and the first notices it."""
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
    """A living holder has the lock far longer than one lease."""
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
    """After a kill -9 the lock is refused for the rest of the lease, and then given."""
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


def test_a_damaged_lease_file_counts_as_free(tmp_path: Path) -> None:
    """A lock file with invalid content counts as free."""
    storage = FileStorage(tmp_path)
    with storage.lock("a"):
        pass
    (tmp_path / "locks/a").write_bytes(b"{")
    with storage.lock("a") as lease:
        lease.check()

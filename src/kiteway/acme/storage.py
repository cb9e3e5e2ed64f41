"""Storage for what must survive a restart: accounts, orders in progress, certificates."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from kiteway.files import write_atomic
from kiteway.ownership import open_own

LEASE_SECONDS = 15.0
"""Seconds that others wait for a lock whose holder was killed."""


class NotStoredError(KeyError):
    """There is no value under this key."""


class LockedError(Exception):
    """Another process or task holds the lock now."""


class LeaseLostError(Exception):
    """The lease expired, for example while its holder was stopped, and another may hold it: the holder must not go on."""


class HeldLock(Protocol):
    """A lock that is held."""

    def check(self) -> None:
        """
        Check that the lock is still held. Call it before everything that must not be done twice.

        Raises:
            LeaseLostError: it was lost.
        """


class Storage(Protocol):
    """
    Values under keys, shared by the processes that serve the same certificates.

    A key is a path of two segments or more joined by ``/``; a segment has letters, digits and ``-._`` and does not begin with a
    dot. A value is small and may hold a private key: an implementation lets only the owner read it. Every method
    may block and is called in a thread. Two processes may call at once.
    """

    def load(self, key: str) -> bytes:
        """
        Return a whole value: during a concurrent store, either the old one or the new one.

        Raises:
            NotStoredError: there is none.
            OSError: the storage cannot be read.
        """

    def store(self, key: str, value: bytes) -> None:
        """
        Set a value. When it returns the value survives a crash; when it fails the old value is unchanged.

        Raises:
            OSError: the storage cannot be written.
        """

    def delete(self, key: str) -> None:
        """
        Remove a value; it is no error when there is none.

        Raises:
            OSError: the storage cannot be written.
        """

    def exists(self, key: str) -> bool:
        """Return whether there is a value."""

    def list(self, prefix: str) -> list[str]:
        """Return the keys below ``prefix``, sorted."""

    def lock(self, name: str) -> contextlib.AbstractContextManager[HeldLock]:
        """
        Hold a lock while the context lasts; at most one process holds it at a time.

        It is a lease that the holder renews: when the holder dies, another gets it after `LEASE_SECONDS`. A new holder
        first checks whether the work still needs to be done: it reads the present value under ``name`` and those below it,
        which no other process changes meanwhile.

        Raises:
            LockedError: another process or task holds it. The call does not wait.
            OSError: the storage cannot be written.
        """


def segments_of(key: str) -> list[str]:
    """Return the segments of a key. Raises ``ValueError`` for an invalid key."""
    segments = key.split("/")
    if not all(segment and not segment.startswith(".") for segment in segments) or "\0" in key:
        raise ValueError(f"{key!r} is no storage key")
    return segments


class _Holder(msgspec.Struct, frozen=True):
    """The content of a lock's file: the holder, and the end of its lease (seconds since the epoch)."""

    holder: str
    until: float


class FileStorage:
    """A storage in a folder: one file for each key, 0600 in folders of 0700, replaced atomically."""

    def __init__(
        self, root: Path, *, lease_seconds: float = LEASE_SECONDS, clock: Callable[[], float] = time.time
    ) -> None:
        self._root = root
        self._lease_seconds = lease_seconds
        self._clock = clock

    def load(self, key: str) -> bytes:
        """See `Storage.load`."""
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NotStoredError(key) from None

    def store(self, key: str, value: bytes) -> None:
        """See `Storage.store`."""
        path = self._path(key)
        self._make_folder(path.parent)
        write_atomic(path, value, 0o600)

    def delete(self, key: str) -> None:
        """See `Storage.delete`."""
        self._path(key).unlink(missing_ok=True)

    def exists(self, key: str) -> bool:
        """See `Storage.exists`."""
        return self._path(key).is_file()

    def list(self, prefix: str) -> list[str]:
        """See `Storage.list`."""
        folder = self._path(prefix)
        return sorted(
            str(path.relative_to(self._root))
            for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        )

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[_FileLease]:
        """See `Storage.lock`."""
        path = self._path(f"locks/{name}")
        self._make_folder(path.parent)
        lease = _FileLease(path, self._lease_seconds, self._clock)
        lease.take()
        try:
            with lease.renewed():
                yield lease
        finally:
            lease.give_up()

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and its parents; ``mkdir`` would set the mode of the last one only."""
        if folder != self._root:
            self._make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True, parents=folder == self._root)

    def _path(self, key: str) -> Path:
        return self._root.joinpath(*segments_of(key))


class _FileLease:
    """
    A lease in a file.

    Reading and replacing it is one step under ``flock``, which is held for that moment only: the kernel drops it with
    the process, so it never blocks for long.
    """

    def __init__(self, path: Path, seconds: float, clock: Callable[[], float]) -> None:
        self._path = path
        self._seconds = seconds
        self._clock = clock
        self._holder = secrets.token_hex(8)

    def take(self) -> None:
        with self._guard():
            held = self._read()
            if held is not None and held.until > self._clock():
                raise LockedError(str(self._path))
            self._write()

    def check(self) -> None:
        """See `HeldLock.check`."""
        with self._guard():
            self._check()

    def _check(self) -> None:
        held = self._read()
        if held is None or held.holder != self._holder or held.until <= self._clock():
            raise LeaseLostError(f"the lease {self._path} ran out; another process may hold it")

    def give_up(self) -> None:
        with self._guard():
            held = self._read()
            if held is not None and held.holder == self._holder:
                self._path.unlink()

    @contextlib.contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew the lease in a thread while the context lasts."""
        ended = threading.Event()

        def work() -> None:
            while not ended.wait(self._seconds / 3):
                try:
                    with self._guard():
                        self._check()
                        self._write()
                except (LeaseLostError, OSError):
                    return  # the holder learns of it from `check`

        thread = threading.Thread(target=work, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        guard = self._path.with_name(f".{self._path.name}.guard")
        descriptor = open_own(guard, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _read(self) -> _Holder | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Holder)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def _write(self) -> None:
        content = msgspec.json.encode(_Holder(self._holder, self._clock() + self._seconds))
        write_atomic(self._path, content, 0o600)

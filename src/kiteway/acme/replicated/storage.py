"""
A storage in Secrets: one Secret for each folder, watched by every replica, written by the leader.

The storage needs no lock of its own: the holder of the Lease for writing status gets every lock, and no other replica gets
one.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import structlog

from kiteway.acme.replicated.mirror import Mirror
from kiteway.acme.replicated.secrets import SECRET_TYPE, Folder, Secrets, split
from kiteway.acme.storage import LeaseLostError, LockedError, NotStoredError, segments_of
from kiteway.kubernetes.api import Api, ApiError, ApiUnavailableError
from kiteway.kubernetes.reflector import Reflector

_log = structlog.get_logger(__name__)

_RETRY_SECONDS: Final = 0.5
_KEEP_SECONDS: Final = 5.0
"""Seconds between two writes of the file that a restart reads."""

T = TypeVar("T")


class Leader(Protocol):
    """Whether this process is the leader; `kiteway.kubernetes.lease.Lease` is an implementation."""

    @property
    def held(self) -> bool:
        """Whether this process leads now."""

    @property
    def term(self) -> int:
        """The number of the present term."""


class _Term:
    """A lock that lasts as long as the leader's term in which it was taken."""

    def __init__(self, leader: Leader) -> None:
        self._leader = leader
        self._term = leader.term

    def check(self) -> None:
        """See `kiteway.acme.storage.HeldLock.check`."""
        if not self._leader.held or self._leader.term != self._term:
            raise LeaseLostError("the Lease ran out; another replica may lead")


class _Locked:
    """A lock that is held, and the folders as last read or written under it."""

    def __init__(self, term: _Term) -> None:
        self.term = term
        self.folders: dict[str, Folder] = {}


class SecretStorage:
    """
    See `kiteway.acme.storage.Storage`: its methods are called in threads, everything else on the event loop.

    Without a lock values are read from memory, which a watch updates, so a read costs the API server nothing. Under a lock
    the Secret itself is read once, and replaced only if it is unchanged since its last read or write: another process's
    change is never overwritten unseen.

    A write whose answer is lost may have happened all the same.
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        owner: str,
        leader: Leader,
        *,
        file: Path | None = None,
        notify: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Prepare.

        Args:
            api: the connection.
            namespace: where the Secrets are.
            owner: tells apart the Secrets of several Kiteways in one namespace.
            leader: whether this process may lock.
            file: a copy of the storage for a start while the API server is unreachable; None: no copy.
            notify: called when `complete` may have changed.
        """
        self._leader = leader
        self._file = file
        self._loop = asyncio.get_running_loop()
        self._mirror = Mirror(owner, self._on_change)
        self._secrets = Secrets(api, namespace, owner, self._mirror.take)
        self._unkept = asyncio.Event()
        self._guard = threading.Lock()
        self._locked: dict[str, _Locked] = {}
        self._closed = False
        self._restored = file is not None and self._mirror.restore(file)
        self.reflector = Reflector(api, self._secrets.collection, self._mirror, notify, selector=f"type={SECRET_TYPE}")
        self.listeners: list[Callable[[str], None]] = []

    @property
    def complete(self) -> bool:
        """Whether the storage was read, or cannot be read for lack of permission."""
        return self._restored or self.reflector.synced or self.reflector.forbidden

    async def run(self) -> None:
        """Watch the Secrets until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.reflector.run())
                tasks.create_task(self._keep())
        finally:
            self._closed = True

    def load(self, key: str) -> bytes:
        """See `Storage.load`."""
        folder, entry = split(key)
        found = self._read(key, folder).values.get(entry)
        if found is None:
            raise NotStoredError(key)
        return found

    def store(self, key: str, value: bytes) -> None:
        """See `Storage.store`. Raises also ``LeaseLostError``: another replica has written the value since it was locked."""
        self._change(key, value)

    def delete(self, key: str) -> None:
        """See `Storage.delete`. The Secret stays."""
        if self.exists(key):
            self._change(key, None)

    def exists(self, key: str) -> bool:
        """See `Storage.exists`."""
        folder, entry = split(key)
        return entry in self._read(key, folder).values

    def list(self, prefix: str) -> builtins.list[str]:
        """See `Storage.list`."""
        return sorted(key for key in self._mirror.listed() if key.startswith(f"{prefix}/"))

    def seen(self, entry: str) -> dict[str, bytes]:
        """Return the cached values of an entry by folder, also under a lock; for the event loop."""
        return self._mirror.all(entry)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[_Term]:
        """See `Storage.lock`."""
        segments_of(name)
        if not self._leader.held:
            raise LockedError(f"{name}: another replica leads")
        locked = _Locked(_Term(self._leader))
        with self._guard:
            if name in self._locked:
                raise LockedError(name)
            self._locked[name] = locked
        try:
            yield locked.term
        finally:
            with self._guard:
                del self._locked[name]

    def wait(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a thread's request on the event loop. Raises ``OSError`` for a refusal of the API server."""
        if self._closed:
            raise OSError("the control plane ends")
        try:
            return asyncio.run_coroutine_threadsafe(work(), self._loop).result()
        except ApiUnavailableError as error:
            raise ConnectionError(f"the API server: {error}") from None
        except ApiError as error:
            # Not the error itself: it may quote what was written.
            raise OSError(f"the API server refuses a Secret of the storage: {error.status} {error.reason}") from None
        except CancelledError:
            raise OSError("the control plane ends") from None

    def _lock_of(self, key: str) -> _Locked | None:
        with self._guard:
            return next((held for name, held in self._locked.items() if f"{key}/".startswith(f"{name}/")), None)

    def _read(self, key: str, folder: str) -> Folder:
        held = self._lock_of(key)
        if held is None:
            return self._mirror.get(folder)
        if folder not in held.folders:
            held.folders[folder] = self.wait(lambda: self._secrets.fetch(folder))
        return held.folders[folder]

    def _change(self, key: str, value: bytes | None) -> None:
        folder, _ = split(key)
        held = self._lock_of(key)
        if held is None:
            self.wait(lambda: self._secrets.put(key, value))
            return
        before = self._read(key, folder)
        held.folders[folder] = self._patiently(held.term, lambda: self._secrets.put_unless_changed(key, value, before))

    def _patiently(self, term: _Term, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Retry while the API server is unreachable: a short outage must not lose what the CA has done already."""
        while True:
            term.check()
            try:
                return self.wait(work)
            except ConnectionError:
                time.sleep(_RETRY_SECONDS)

    def _on_change(self, folder: str) -> None:
        self._unkept.set()
        for listener in self.listeners:
            listener(folder)

    async def _keep(self) -> None:
        while self._file is not None:
            await self._unkept.wait()
            self._unkept.clear()
            try:
                await asyncio.to_thread(self._mirror.keep, self._file)
            except OSError as error:
                _log.warning("not kept", file=str(self._file), error=error.strerror or str(error))
            await asyncio.sleep(_KEEP_SECONDS)

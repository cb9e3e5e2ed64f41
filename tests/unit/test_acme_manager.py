"""The served certificates while the storage changes under the manager."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from kiteway.acme.challenge_server import ChallengeServer, LocalPresenter
from kiteway.acme.config import AcmeConfig
from kiteway.acme.manager import ManagedCertificates
from kiteway.acme.records import Issued, write
from kiteway.acme.storage import FileStorage, HeldLock, LockedError
from kiteway.acme.wanted_certificate import WantedCertificate
from kiteway.certificates.create import create_self_signed
from kiteway.diagnostics import ObjectRef
from kiteway.envoy.settings import EnvoySettings

HOST = "my-release.milvus.io"
WANTED = WantedCertificate(ObjectRef("ManagedCertificate", "default", "guide"), (HOST,))
READY = AcmeConfig(accept_terms=True, contact="admin@milvus.io")
FOLDER = WANTED.folder(READY.issuer_key)


class Follower(FileStorage):
    """A storage that another process leads."""

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[HeldLock]:  # type: ignore[override]
        """Refuse."""
        raise LockedError(name)
        yield


def _manager(storage: FileStorage, published: asyncio.Event) -> ManagedCertificates:
    async def publish() -> None:
        published.set()

    settings = EnvoySettings()
    return ManagedCertificates(
        READY, storage, LocalPresenter(ChallengeServer(settings, publish, publish)), settings, publish
    )


def _issue(storage: FileStorage) -> None:
    pair = create_self_signed([HOST])
    record = Issued((HOST,), pair.certificate.decode(), pair.key, dt.datetime.now(dt.UTC))
    write(storage, f"{FOLDER}/certificate", record)


def test_a_follower_serves_the_leaders_certificate(tmp_path: Path) -> None:
    """
    A follower, which gets no lock, serves a certificate that another replica has stored as soon as it is
    notified.
    """

    async def scenario() -> None:
        storage, published = Follower(tmp_path), asyncio.Event()
        manager = _manager(storage, published)
        await manager.update([WANTED])
        assert manager.served[WANTED.key].temporary
        run = asyncio.create_task(manager.run())
        _issue(storage)
        manager.look_again(FOLDER)
        async with asyncio.timeout(30):
            await published.wait()
        assert not manager.served[WANTED.key].temporary
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)

    asyncio.run(scenario())


def test_a_deleted_certificate_is_still_served(tmp_path: Path) -> None:
    """
    If the stored certificate is deleted, the served one goes on being served, because clients would not trust
    a temporary one.
    """

    async def scenario() -> None:
        storage = Follower(tmp_path)
        _issue(storage)
        manager = _manager(storage, asyncio.Event())
        await manager.update([WANTED])
        before = manager.served[WANTED.key]
        storage.delete(f"{FOLDER}/certificate")

        await manager._adopt(manager._items[WANTED.key])

        assert manager.served[WANTED.key] == before
        assert not before.temporary
        assert manager.report()[0].certificate_status == "Provisioning"

    asyncio.run(scenario())

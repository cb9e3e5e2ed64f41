"""The interface of a source, and manifests in files as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Protocol

from kiteway.acme.challenge_server import ChallengeServer, LocalPresenter
from kiteway.acme.context import Presenter
from kiteway.acme.storage import FileStorage, Storage
from kiteway.pipeline.pipeline import Outcome
from kiteway.report.certificates import ManagedCertificateReport
from kiteway.resources import EndpointSlice
from kiteway.sources.certificate_files import CertificateFiles, CertificateFileSource
from kiteway.sources.files import FileSource, SourceContent
from kiteway.sources.large_files import LargeFileReader

Translate = Callable[[], Awaitable[None]]
"""Translates all resources."""
TakeSlices = Callable[[Iterable[EndpointSlice], Iterable[EndpointSlice]], Awaitable[None]]
"""Takes EndpointSlices that were deleted, and those that changed, without a translation."""

Reports = Callable[[], list[ManagedCertificateReport]]
"""Returns the status of every ManagedCertificate."""


class Source(Protocol):
    """
    Where resources come from.

    Attributes:
        storage: what all replicas that serve the same resources share.
    """

    storage: Storage

    def presenter(self, server: ChallengeServer, stored: Callable[[str], None]) -> Presenter:
        """
        Return what makes challenges visible to a CA, on ``server`` and on the other replicas.

        ``stored`` is called with each folder of the storage to which another process has written.
        """

    def addresses(self) -> tuple[str, ...]:
        """Return the addresses at which clients reach Kiteway, as far as they are known."""

    def replicas(self) -> int:
        """Return how many replicas of Kiteway serve the same resources, this one included."""

    def on_gke(self) -> bool:
        """Return whether Google's controllers read the same resources, so that what goes wrong there matters."""

    def why_incomplete(self) -> str:
        """Return what the source waits for before there is anything to serve; empty when there is."""

    async def read(self) -> SourceContent:
        """Return all resources."""

    def translated(self, outcome: Outcome) -> None:
        """Take the outcome of a translation."""

    def judged(self, outcome: Outcome) -> None:
        """Take the outcome that an ACK or a NACK of Envoy has changed."""

    async def follow(self, translate: Translate, take_slices: TakeSlices) -> None:
        """Follow changes until cancelled."""


class Files:
    """Files and folders with manifests, and certificates in files."""

    def __init__(
        self,
        state_dir: Path,
        paths: tuple[Path, ...],
        certificates: tuple[CertificateFiles, ...] = (),
        bare: Callable[[], Awaitable[None]] | None = None,
        *,
        recursive: bool = False,
    ) -> None:
        """
        Prepare.

        Args:
            state_dir: for the storage.
            paths: files and folders.
            certificates: certificates in files.
            bare: returns when an Envoy without any configuration has connected.
            recursive: whether the subfolders of folders are read, too.
        """
        self.storage: Storage = FileStorage(state_dir)
        self._large = LargeFileReader()
        self._source = FileSource(paths, recursive=recursive, regular_only=True, large=self._large)
        self._bare = bare
        self._begun = self._whole = False
        self._certificates = CertificateFileSource(certificates)
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def presenter(self, server: ChallengeServer, stored: Callable[[str], None]) -> Presenter:  # noqa: ARG002 - see Source
        """Return a presenter without other replicas."""
        return LocalPresenter(server)

    def addresses(self) -> tuple[str, ...]:
        """Return none: they are not in the files."""
        return ()

    def replicas(self) -> int:
        """Return 1: there are no others."""
        return 1

    def on_gke(self) -> bool:
        """Return no: `kiteway plan` and `kiteway doctor` judge files for GKE."""
        return False

    def why_incomplete(self) -> str:
        """Return that large files are still to be decoded once since the start; a missing file is a diagnostic."""
        return "large files of manifests are being decoded" if self._begun and not self._whole else ""

    async def read(self) -> SourceContent:
        """Read them. Large files that changed come later (see `follow`); the first time they are waited for (see `_first`)."""
        # Taken before the files are read: what is decoded meanwhile is not in what is returned.
        passed = self._large.passed
        found = await asyncio.to_thread(self._source.read)
        if not self._begun:
            found = await self._first(found)
            self._begun, passed = True, self._large.passed
        self._whole = self._whole or passed or not self._large.waiting
        self._large.urgent = not self._whole
        self._large.start()
        self._retry_later()
        return await asyncio.to_thread(self._certificates.add_to, found)

    def _retry_later(self) -> None:
        """Have the files read again when a large one whose decoding failed is to be decoded again."""
        if self._timer is not None:
            self._timer.cancel()
        wait = self._source.retry_seconds()
        # A file that is due is waiting already, and read again when it is decoded.
        self._timer = asyncio.get_running_loop().call_later(wait, self._due.set) if wait else None

    async def _retries(self) -> AsyncIterator[None]:
        while True:
            await self._due.wait()
            self._due.clear()
            yield

    async def _first(self, found: SourceContent) -> SourceContent:
        """
        Wait until each large file was decoded once, and return everything.

        An Envoy with a configuration must not lose the hosts of large files for a moment. An Envoy without a configuration has
        no hosts to lose, so then the hosts of all other files are served at once.
        """
        bare = asyncio.create_task(self._until_bare())
        try:
            while self._large.waiting and not self._large.passed and not bare.done():
                decoding = asyncio.create_task(self._large.decode_next())
                await asyncio.wait({decoding, bare}, return_when=asyncio.FIRST_COMPLETED)
                if not decoding.done():
                    decoding.cancel()
                await asyncio.gather(decoding, return_exceptions=True)
                found = await asyncio.to_thread(self._source.read)
        finally:
            bare.cancel()
        return found

    async def _until_bare(self) -> None:
        await (self._bare() if self._bare is not None else asyncio.Event().wait())

    def translated(self, outcome: Outcome) -> None:
        """Do nothing: files are not written to."""

    def judged(self, outcome: Outcome) -> None:
        """Do nothing: files are not written to."""

    async def follow(self, translate: Translate, take_slices: TakeSlices) -> None:  # noqa: ARG002 - see Source
        """Translate when a file changes."""

        async def after(changes: AsyncIterator[None]) -> None:
            async for _ in changes:
                await translate()

        async with asyncio.TaskGroup() as group:
            group.create_task(after(self._source.changes()))
            group.create_task(after(self._certificates.changes()))
            group.create_task(after(self._large.results()))
            group.create_task(after(self._retries()))

"""What the control plane asks of a source, and files as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from kiteway.acme.challenge_server import ChallengeServer, LocalPresenter
from kiteway.acme.context import Presenter
from kiteway.acme.storage import FileStorage, Storage
from kiteway.pipeline.pipeline import Outcome
from kiteway.resources import EndpointSlice
from kiteway.sources.certificate_files import CertificateFiles, CertificateFileSource
from kiteway.sources.files import FileSource, Resources

Translate = Callable[[], Awaitable[None]]
"""Translates everything there is now."""
TakeSlices = Callable[[Iterable[EndpointSlice], Iterable[EndpointSlice]], Awaitable[None]]
"""Takes EndpointSlices that are gone, and those that changed, without a translation."""

Reports = Callable[[], Iterable[Mapping[str, Any]]]
"""Returns the reports on ManagedCertificates."""


class Source(Protocol):
    """
    Where resources come from.

    Attributes:
        storage: what is shared with all that serve the same resources.
    """

    storage: Storage

    def presenter(self, stage: ChallengeServer, stored: Callable[[str], None]) -> Presenter:
        """
        Return what makes challenges visible to a CA, on ``stage`` and wherever else the same names lead.

        ``stored`` is told each folder of the storage to which somebody has written.
        """

    def addresses(self) -> tuple[str, ...]:
        """Return where clients reach Kiteway, as far as somebody said so."""

    def why_incomplete(self) -> str:
        """Return what is waited for before there is anything to serve; empty when there is."""

    async def read(self) -> Resources:
        """Return everything there is now."""

    def translated(self, outcome: Outcome) -> None:
        """Take note of what everything came to."""

    def judged(self, outcome: Outcome) -> None:
        """Take note of what came of it when Envoy had judged it."""

    async def follow(self, translate: Translate, take_slices: TakeSlices) -> None:
        """Follow changes until cancelled."""


class Files:
    """Files and folders with manifests, and certificates in files."""

    def __init__(
        self, state_dir: Path, paths: tuple[Path, ...], certificates: tuple[CertificateFiles, ...] = ()
    ) -> None:
        self.storage: Storage = FileStorage(state_dir)
        self._source = FileSource(paths)
        self._certificates = CertificateFileSource(certificates)

    def presenter(self, stage: ChallengeServer, stored: Callable[[str], None]) -> Presenter:  # noqa: ARG002 - see Source
        """Return a presenter without other replicas."""
        return LocalPresenter(stage)

    def addresses(self) -> tuple[str, ...]:
        """Return nothing: files do not say it."""
        return ()

    def why_incomplete(self) -> str:
        """Return an empty string: files are there, or it is a diagnostic that they are not."""
        return ""

    async def read(self) -> Resources:
        """Read them."""
        return await asyncio.to_thread(lambda: self._certificates.add_to(self._source.read()))

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

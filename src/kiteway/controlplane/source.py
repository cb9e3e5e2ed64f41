"""What the control plane asks of a source, and files as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Protocol

from kiteway.controlplane.pipeline import Outcome
from kiteway.resources import EndpointSlice
from kiteway.sources.certificate_files import CertificateFiles, CertificateFileSource
from kiteway.sources.files import FileSource, Resources

Translate = Callable[[], Awaitable[None]]
"""Translates everything there is now."""
TakeSlices = Callable[[Iterable[EndpointSlice], Iterable[EndpointSlice]], Awaitable[None]]
"""Takes EndpointSlices that are gone, and those that changed, without a translation."""


class Source(Protocol):
    """Where resources come from."""

    def why_incomplete(self) -> str:
        """Return what is waited for before there is anything to serve; empty when there is."""

    async def read(self) -> Resources:
        """Return everything there is now."""

    def translated(self, outcome: Outcome) -> None:
        """Take note of what everything came to."""

    async def follow(self, translate: Translate, take_slices: TakeSlices) -> None:
        """Follow changes until cancelled."""


class Files:
    """Files and folders with manifests, and certificates in files."""

    def __init__(self, paths: tuple[Path, ...], certificates: tuple[CertificateFiles, ...] = ()) -> None:
        self._source = FileSource(paths)
        self._certificates = CertificateFileSource(certificates)

    def why_incomplete(self) -> str:
        """Return an empty string: files are there, or it is a diagnostic that they are not."""
        return ""

    async def read(self) -> Resources:
        """Read them."""
        return await asyncio.to_thread(lambda: self._certificates.add_to(self._source.read()))

    def translated(self, outcome: Outcome) -> None:
        """Do nothing: files are not written to."""

    async def follow(self, translate: Translate, take_slices: TakeSlices) -> None:  # noqa: ARG002 - see Source
        """Translate when a file changes."""

        async def after(changes: AsyncIterator[None]) -> None:
            async for _ in changes:
                await translate()

        async with asyncio.TaskGroup() as group:
            group.create_task(after(self._source.changes()))
            group.create_task(after(self._certificates.changes()))

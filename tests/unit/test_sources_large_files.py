"""Large files are decoded apart, while everything else is read."""

from __future__ import annotations

import asyncio
import errno
import sys
from pathlib import Path
from typing import Any

import pytest

from kiteway.controlplane.source import Files
from kiteway.resources import Loaded
from kiteway.sources import files, large_files
from kiteway.sources.files import LARGE_BYTES
from kiteway.sources.large_files import LargeFileReader
from tests.support.manifests import service, text

pytestmark = pytest.mark.anyio


def _large(name: str) -> bytes:
    """Return a file with one Service and a comment that makes it large."""
    return b"#" * (LARGE_BYTES + 1) + b"\n" + text([service(name)])


async def _names(source: Files) -> list[str]:
    return sorted(object_.metadata.name for object_ in (await source.read()).objects)


async def _next(source: Files) -> None:
    """Wait until a large file was decoded."""
    async for _ in source._large.results():
        return


async def test_other_files_do_not_wait_for_a_large_one(tmp_path: Path) -> None:
    """A large file counts as it was before until it is decoded; at the first read it is waited for."""
    (tmp_path / "large.yaml").write_bytes(_large("one"))
    (tmp_path / "small.yaml").write_bytes(text([service("a")]))
    source = Files(tmp_path, (tmp_path,))
    assert await _names(source) == ["a", "one"]
    (tmp_path / "large.yaml").write_bytes(_large("two"))
    (tmp_path / "small.yaml").write_bytes(text([service("b")]))
    assert await _names(source) == ["b", "one"]
    await _next(source)
    assert await _names(source) == ["b", "two"]
    (tmp_path / "new.yaml").write_bytes(_large("three"))
    assert await _names(source) == ["b", "two"]
    await _next(source)
    assert await _names(source) == ["b", "three", "two"]


async def test_a_file_that_is_being_decoded_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tenants' changes do not pay for it; a change of the file itself is noticed."""
    file = tmp_path / "large.yaml"
    source = Files(tmp_path, (tmp_path,))
    await source.read()
    reads: list[Path] = []
    read = files._read

    def counted(path: Path, *, regular_only: bool) -> bytes:
        reads.append(path)
        return read(path, regular_only=regular_only)

    monkeypatch.setattr(files, "_read", counted)
    file.write_bytes(_large("one"))
    for name in ("a", "b"):
        (tmp_path / "small.yaml").write_bytes(text([service(name)]))
        assert await _names(source) == [name]
    assert reads.count(file) == 1
    file.write_bytes(_large("other") + b"#")
    assert await _names(source) == ["b"]
    assert reads.count(file) == 2
    await _next(source)
    assert await _names(source) == ["b", "other"]


async def test_the_smallest_of_large_files_is_decoded_first(tmp_path: Path) -> None:
    """A tenant with a huge file delays the other large ones by no more than one file."""
    source = Files(tmp_path, (tmp_path,))
    await source.read()
    (tmp_path / "a.yaml").write_bytes(_large("huge") + b"#" * LARGE_BYTES)
    (tmp_path / "b.yaml").write_bytes(_large("large"))
    assert await _names(source) == []
    await _next(source)
    assert await _names(source) == ["large"]
    await _next(source)
    assert await _names(source) == ["huge", "large"]


async def test_a_file_that_cannot_be_decoded_keeps_its_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that fails or takes too long is a diagnostic with the file's name, and what was read before stays."""
    file = tmp_path / "large.yaml"
    file.write_bytes(_large("one"))
    source = Files(tmp_path, (tmp_path,))
    assert await _names(source) == ["one"]
    monkeypatch.setattr(large_files, "_LONGEST_SECONDS", 0.0)
    file.write_bytes(_large("two"))
    await source.read()
    await _next(source)
    found = await source.read()
    assert [object_.metadata.name for object_ in found.objects] == ["one"]
    [diagnostic] = found.diagnostics
    assert diagnostic.reason == "FileUnreadable"
    assert str(file) in diagnostic.message


class Failing:
    """A decoder whose process fails ``times`` times, and then works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.times = times
        self._works = large_files._in_a_process
        monkeypatch.setattr(large_files, "_in_a_process", self._decode)

    async def _decode(self, *arguments: Any, **options: Any) -> Loaded:
        if self.times:
            self.times -= 1
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return await self._works(*arguments, **options)


async def test_a_start_tries_again_if_the_process_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that could not be started or was killed removes no host from an Envoy that serves it."""
    (tmp_path / "large.yaml").write_bytes(_large("one"))
    monkeypatch.setattr(large_files, "_PAUSES", (0.0, 0.0))
    Failing(monkeypatch, 2)
    found = await Files(tmp_path, (tmp_path,)).read()
    assert [object_.metadata.name for object_ in found.objects] == ["one"]
    assert found.diagnostics == ()


async def test_a_start_does_not_try_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file that kills its decoder each time does not keep the others waiting; it is tried again later."""
    (tmp_path / "large.yaml").write_bytes(_large("one"))
    (tmp_path / "small.yaml").write_bytes(text([service("a")]))
    monkeypatch.setattr(large_files, "_PAUSES", (0.0,))
    monkeypatch.setattr(files, "_RETRY_SECONDS", 0.0)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    source = Files(tmp_path, (tmp_path,))
    found = await source.read()
    assert [object_.metadata.name for object_ in found.objects] == ["a"]
    assert [diagnostic.reason for diagnostic in found.diagnostics] == ["FileUnreadable"]
    assert source.why_incomplete() == ""
    monkeypatch.undo()
    await source.read()
    await _next(source)
    found = await source.read()
    assert sorted(object_.metadata.name for object_ in found.objects) == ["a", "one"]
    assert found.diagnostics == ()


async def test_a_file_is_decoded_again_after_a_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure of the process is not the content of the file; it is tried again, after a pause that doubles."""
    clock = [1000.0]
    file = tmp_path / "large.yaml"
    file.write_bytes(_large("one"))
    source = files.FileSource((tmp_path,), large=(large := LargeFileReader()), clock=lambda: clock[0])
    source.read()
    await large.decode_next()
    source.read()
    large.urgent = False
    Failing(monkeypatch, 2)
    file.write_bytes(_large("two"))
    source.read()
    for pause in (files._RETRY_SECONDS, 2 * files._RETRY_SECONDS):
        await large.decode_next()
        found = source.read()
        assert [object_.metadata.name for object_ in found.objects] == ["one"]
        assert [diagnostic.reason for diagnostic in found.diagnostics] == ["FileUnreadable"]
        assert source.retry_seconds() == pause
        clock[0] += pause - 1
        source.read()
        assert not large.waiting
        clock[0] += 1
        assert source.read().diagnostics == found.diagnostics
        assert large.waiting
    await large.decode_next()
    found = source.read()
    assert [object_.metadata.name for object_ in found.objects] == ["two"]
    assert found.diagnostics == ()
    assert source.retry_seconds() is None


async def test_a_file_is_decoded_again_without_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause ends with a translation, although nothing has changed on the disk."""
    (tmp_path / "large.yaml").write_bytes(_large("one"))
    monkeypatch.setattr(large_files, "_PAUSES", ())
    monkeypatch.setattr(files, "_RETRY_SECONDS", 0.2)
    Failing(monkeypatch, 1)
    source = Files(tmp_path, (tmp_path,))
    assert await _names(source) == []
    there = asyncio.Event()

    async def translate() -> None:
        if await _names(source):
            there.set()

    async def no_slices(*_: object) -> None:
        raise AssertionError

    follow = asyncio.create_task(source.follow(translate, no_slices))
    try:
        async with asyncio.timeout(30):
            await there.wait()
    finally:
        follow.cancel()
        await asyncio.gather(follow, return_exceptions=True)


class Rewriting:
    """A tenant that writes ``file`` again while it is decoded, whenever that is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
        self.file = file
        self.times = 0
        self._decoder = large_files._in_a_process
        monkeypatch.setattr(large_files, "_in_a_process", self._decode)

    def write(self) -> None:
        """Write other content than before."""
        self.file.write_bytes(_large(f"changing-{self.times}"))

    async def _decode(self, path: Path, *arguments: Any, **options: Any) -> Loaded:
        if path == self.file:
            self.times += 1
            self.write()
        return await self._decoder(path, *arguments, **options)


async def test_a_start_ends_although_a_file_always_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is decoded once, and counts as it was then; so no host of it is missing either."""
    (tmp_path / "large.yaml").write_bytes(_large("one"))
    changing = Rewriting(monkeypatch, tmp_path / "changing.yaml")
    changing.write()
    source = Files(tmp_path, (tmp_path,))
    async with asyncio.timeout(30):
        assert await _names(source) == ["changing-0", "one"]
    assert changing.times == 1
    assert source.why_incomplete() == ""
    assert source._large.waiting


async def test_a_file_that_always_changes_delays_others_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although it is the smallest, each of the others is decoded before it is decoded again."""
    source = Files(tmp_path, (tmp_path,))
    await source.read()
    changing = Rewriting(monkeypatch, tmp_path / "changing.yaml")
    changing.write()
    (tmp_path / "a.yaml").write_bytes(_large("large") + b"#" * LARGE_BYTES)
    assert await _names(source) == []
    await _next(source)
    await source.read()
    await _next(source)
    assert "large" in await _names(source)


async def test_a_bare_envoy_gets_ready_although_a_file_always_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instance is ready when each file was decoded once."""

    async def bare() -> None:
        """Return at once: there is one."""

    changing = Rewriting(monkeypatch, tmp_path / "changing.yaml")
    changing.write()
    (tmp_path / "large.yaml").write_bytes(_large("one"))
    source = Files(tmp_path, (tmp_path,), bare=bare)
    assert await _names(source) == []
    for _ in range(2):
        assert "decoded" in source.why_incomplete()
        await _next(source)
        await source.read()
    assert source.why_incomplete() == ""
    assert await _names(source) == ["changing-0", "one"]


async def test_a_file_is_decoded_once_for_each_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of another file while it is decoded does not have it decoded again."""
    source = Files(tmp_path, (tmp_path,))
    await source.read()
    decoder = large_files._in_a_process

    async def decode(*arguments: Any, **options: Any) -> Loaded:
        await source.read()
        return await decoder(*arguments, **options)

    monkeypatch.setattr(large_files, "_in_a_process", decode)
    (tmp_path / "large.yaml").write_bytes(_large("one"))
    await source.read()
    await _next(source)
    assert await _names(source) == ["one"]
    assert not source._large.waiting


async def test_positions_and_diagnostics_come_back_from_the_decoder(tmp_path: Path) -> None:
    """They are those of a file that is decoded in this process."""
    file = tmp_path / "large.yaml"
    file.write_bytes(_large("one") + b"---\napiVersion: v1\nkind: Service\nmetadata: {name: 1}\n")
    apart = await Files(tmp_path, (tmp_path,)).read()
    here = files.FileSource((tmp_path,)).read()
    assert apart == here
    assert [o.at("spec", "ports", 0, "port") for o in apart.objects] == [
        o.at("spec", "ports", 0, "port") for o in here.objects
    ]
    assert apart.diagnostics[0].position is not None


async def test_an_envoy_without_a_configuration_does_not_wait(tmp_path: Path) -> None:
    """It serves what is in the other files meanwhile; the instance is ready when the large one is there, too."""

    async def bare() -> None:
        """Return at once: there is one."""

    (tmp_path / "large.yaml").write_bytes(_large("one"))
    (tmp_path / "small.yaml").write_bytes(text([service("a")]))
    source = Files(tmp_path, (tmp_path,), bare=bare)
    assert source.why_incomplete() == ""
    assert await _names(source) == ["a"]
    assert "decoded" in source.why_incomplete()
    await _next(source)
    assert await _names(source) == ["a", "one"]
    assert source.why_incomplete() == ""

"""Folders are watched whatever a tenant does with its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import watchfiles

from kiteway.sources import folders as limits
from kiteway.sources.files import FileSource
from kiteway.sources.folders import listing
from kiteway.sources.watch import watch


def _run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def test_a_folder_that_is_replaced_is_watched_again(tmp_path: Path) -> None:
    """With the same name, and perhaps the same inode."""
    below = tmp_path / "below"
    below.mkdir()

    async def replaced() -> None:
        changes = FileSource((tmp_path,), recursive=True).changes()
        await anext(changes)
        shutil.rmtree(below)
        below.mkdir()
        await anext(changes)
        await anext(changes)  # The new folder is watched.
        (below / "a.yaml").write_text("")
        await anext(changes)

    _run(replaced)


def test_the_limit_of_watches_does_not_end_the_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders are read again after a pause; when there are watches again, they are watched."""
    real, refused = watchfiles.awatch, iter(range(2))

    def limited(*paths: Path, **options: Any) -> Any:
        if next(refused, None) is not None:
            raise OSError(28, "OS file watch limit reached.")
        return real(*paths, **options)

    monkeypatch.setattr(watchfiles, "awatch", limited)

    async def seen() -> None:
        changes = watch(lambda: frozenset({tmp_path}), lambda _: True)
        for _ in range(3):
            await anext(changes)
        (tmp_path / "a.yaml").write_text("")
        await anext(changes)

    _run(seen)
    assert next(refused, None) is None


_CLOSED = """
import asyncio, sys
from pathlib import Path
from kiteway.sources.files import FileSource

root = Path(sys.argv[1])

async def seen():
    source = FileSource((root,), recursive=True)
    changes = source.changes()

    def told():
        content = source.read()
        return [each.ref.name for each in content.objects], [each.message for each in content.diagnostics]

    await anext(changes)
    print(*told(), source.retry_seconds())
    (root / "closed").chmod(0)
    await anext(changes)
    print(*told(), source.retry_seconds())
    (root / "open" / "a.yaml").write_text("")
    await anext(changes)
    print("seen")

asyncio.run(asyncio.wait_for(seen(), 60))
"""


def test_a_folder_that_may_no_longer_be_read_changes_nothing_for_others(tmp_path: Path) -> None:
    """A tenant may take the right away from Kiteway: its objects stay in force, and other folders are watched on."""
    for name in ("closed", "open"):
        (tmp_path / name).mkdir()
    (tmp_path / "closed" / "a.yaml").write_text(
        "{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: milvus}, spec: {controller: kiteway.io/ingress}}"
    )
    # The rights of a file do not hold for root.
    without = [] if os.geteuid() else ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"]
    command = [*without, sys.executable, "-c", _CLOSED, str(tmp_path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "['milvus'] [] None",
        f"['milvus'] ['{tmp_path / 'closed'} cannot be read: Permission denied.'] 5.0",
        "seen",
    ]


def _bad(folder: Path) -> Path:
    return Path(os.fsdecode(os.fsencode(folder) + b"/\xff.yaml"))


def test_a_name_that_is_not_utf8_does_not_end_the_watch(tmp_path: Path) -> None:
    """The library cannot tell of it."""

    async def seen() -> None:
        changes = FileSource((tmp_path,)).changes()
        await anext(changes)
        for _ in range(2):
            _bad(tmp_path).write_text("{}")
            for _ in range(2):
                await anext(changes)  # After the error, and because the folder is watched again.
        (tmp_path / "a.yaml").write_text("{}")
        await anext(changes)

    _run(seen)


@pytest.mark.parametrize("target", ["a.yaml", "/proc/1/root/x", "gone"])
def test_a_link_that_cannot_be_followed_is_an_error_of_its_own(tmp_path: Path, target: str) -> None:
    """Such as one to itself: the other files of its folder are read."""
    (tmp_path / "a.yaml").symlink_to(target)
    (tmp_path / "b.yaml").write_text("{}")
    assert tmp_path / "b.yaml" in listing(tmp_path, recursive=False).manifests
    reasons = [each.message for each in FileSource((tmp_path,)).read().diagnostics if each.reason == "FileUnreadable"]
    assert all(str(tmp_path / "a.yaml") in each for each in reasons)


def test_links_to_folders_are_not_watched(tmp_path: Path) -> None:
    """A link to / would take all watches of the system."""
    (tmp_path / "tenant").mkdir()
    (tmp_path / "tenant" / "link").symlink_to("/")
    source = FileSource((tmp_path,), recursive=True)

    async def watches() -> int:
        changes = source.changes()
        await anext(changes)
        return _watches()

    before = _watches()
    assert asyncio.run(watches()) - before == 2


def _watches() -> int:
    """Return how many inotify watches this process has."""
    found = 0
    for each in Path("/proc/self/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            found += each.read_text().count("inotify wd")
    return found


@pytest.mark.parametrize("recursive", [True, False])
def test_names_that_are_not_utf8_are_errors_of_their_own(tmp_path: Path, *, recursive: bool) -> None:
    """Nothing could say what is wrong in such a file, and no watch could name it."""
    (tmp_path / "good.yaml").write_text("{}")
    _bad(tmp_path).write_text("{}")
    below = Path(os.fsdecode(os.fsencode(tmp_path) + b"/folder-\xff"))
    below.mkdir()
    (below / "a.yaml").write_text("{}")
    found = listing(tmp_path, recursive=recursive)
    assert found.manifests == [tmp_path / "good.yaml"]
    assert set(found.unreadable) == {tmp_path / "\\xff.yaml"} | ({tmp_path / "folder-\\xff"} if recursive else set())
    for each in FileSource((tmp_path,), recursive=recursive).read().diagnostics:
        each.message.encode()


def test_the_entries_of_a_subfolder_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those below it count, and the folder that is given has no limit; the diagnostic names the subfolder of the tenant."""
    monkeypatch.setattr(limits, "MOST_ENTRIES", 10)
    for name, count in (("many", 8), ("many/deep", 8), ("few", 5), (".", 20)):
        (tmp_path / name).mkdir(exist_ok=True)
        for number in range(count):
            (tmp_path / name / f"{number}.yaml").write_text("")
    found = listing(tmp_path, recursive=True)
    assert len([each for each in found.manifests if tmp_path / "many" in each.parents]) <= 10
    assert len([each for each in found.manifests if each.parent == tmp_path / "few"]) == 5
    assert len([each for each in found.manifests if each.parent == tmp_path]) == 20
    assert found.cut == {tmp_path / "many"}
    messages = [each.message for each in FileSource((tmp_path,), recursive=True).read().diagnostics]
    assert f"{tmp_path / 'many'} has more than 10 files and subfolders; the others are not read." in messages

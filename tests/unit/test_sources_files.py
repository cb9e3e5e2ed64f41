"""Manifests in files, and which of them are read again."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from kiteway.diagnostics import Severity
from kiteway.sources import files
from kiteway.sources.files import FileSource, SourceContent
from tests.support.manifests import service, text


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files that are read from here on."""
    names: list[str] = []
    read = files._read

    def spy(path: Path, *, regular_only: bool) -> bytes:
        names.append(path.name)
        return read(path, regular_only=regular_only)

    monkeypatch.setattr(files, "_read", spy)
    return names


def write(folder: Path, name: str, manifest: str) -> None:
    """Put a Service of the name ``manifest`` into a file, in its place."""
    (folder / "new").write_bytes(text([service(manifest)]))
    (folder / "new").replace(folder / name)


def names(source: FileSource) -> list[str]:
    """Read everything; return the names of the objects."""
    return [object_.metadata.name for object_ in source.read().objects]


def test_what_has_not_changed_for_a_while_is_not_read_again(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a replaced or rewritten file is read; the objects of the others stay."""
    monkeypatch.setattr(files, "_SETTLED_SECONDS", -60.0)
    write(tmp_path, "a.yaml", "one")
    write(tmp_path, "b.yaml", "two")
    source = FileSource((tmp_path,))
    assert names(source) == ["one", "two"]
    assert opened == ["a.yaml", "b.yaml"]
    assert names(source) == ["one", "two"]
    write(tmp_path, "b.yaml", "six")
    assert names(source) == ["one", "six"]
    with (tmp_path / "a.yaml").open("ab") as file:
        file.write(b"---\n" + text([service("ten")]))
    assert names(source) == ["one", "ten", "six"]
    assert opened == ["a.yaml", "b.yaml", "b.yaml", "a.yaml"]


def test_what_was_just_written_is_read_again(tmp_path: Path, opened: list[str]) -> None:
    """Within one tick of the file system's clock a second change looks like the first, so such a file is read again."""
    write(tmp_path, "a.yaml", "one")
    source = FileSource((tmp_path,))
    assert names(source) == ["one"]
    assert names(source) == ["one"]
    assert opened == ["a.yaml", "a.yaml"]


def test_which_files_of_a_folder_are_manifests(tmp_path: Path) -> None:
    """By name in order; neither folders nor files without a name before the suffix."""
    for name in ("b.yml", "a.yaml", "c.json", ".yaml", "d.txt"):
        write(tmp_path, name, f"of-{name[0].replace('.', 'dot')}")
    (tmp_path / "folder.yaml").mkdir()
    assert names(FileSource((tmp_path,))) == ["of-a", "of-b", "of-c"]


def in_folders(folder: Path) -> Path:
    """Make a folder with manifests in subfolders, a hidden one and a link back among them."""
    folder.mkdir()
    for below in (".", "base", "base/deep", "..data", "empty"):
        (folder / below).mkdir(exist_ok=True)
    for below in (".", "base", "base/deep", "..data"):
        write(folder / below, "a.yaml", f"in-{(folder / below).name.strip('.') or 'data'}")
    (folder / "loop").symlink_to(folder)
    return folder


def test_subfolders_are_read_with_recursive_only(tmp_path: Path) -> None:
    """As with kubectl. Without it a note names those that have manifests; hidden ones and links are never read."""
    root = in_folders(tmp_path / "root")
    assert names(FileSource((root,))) == ["in-root"]
    [note] = FileSource((root,)).read().diagnostics
    assert (note.severity, note.reason) == (Severity.NOTE, "SubfoldersNotRead")
    assert note.message == f"subfolders are not read, and these have manifests: {root / 'base'}."
    assert "-R" in note.fix
    assert names(FileSource((root,), recursive=True)) == ["in-root", "in-base", "in-deep"]
    assert FileSource((root,), recursive=True).read().diagnostics == ()
    assert FileSource((root / "a.yaml",)).read().diagnostics == ()


def test_a_folder_may_be_deeper_than_python_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant's folder that is 1,500 deep is read to its end, so it stops no change of another one."""
    write(tmp_path, "a.yaml", "one")
    monkeypatch.chdir(tmp_path)
    for _ in range(1500):
        Path("d").mkdir()
        monkeypatch.chdir("d")
    write(Path(), "a.yaml", "deep")
    try:
        assert names(FileSource((tmp_path,), recursive=True)) == ["one", "deep"]
    finally:
        # pytest cannot remove what is deeper than Python calls.
        for _ in range(1500):
            Path("a.yaml").unlink(missing_ok=True)
            monkeypatch.chdir("..")
            Path("d").rmdir()


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    """A tenant's file can become one between two looks; its last objects stay in force, and others' changes take effect."""
    for name in ("a", "b"):
        write(tmp_path, f"{name}.yaml", name)
    source = FileSource((tmp_path / "a.yaml", tmp_path / "b.yaml"), regular_only=True)
    assert names(source) == ["a", "b"]
    (tmp_path / "a.yaml").unlink()
    os.mkfifo(tmp_path / "a.yaml")
    write(tmp_path, "b.yaml", "another")
    found: list[SourceContent] = []
    reader = threading.Thread(target=lambda: found.append(source.read()), daemon=True)
    reader.start()
    reader.join(30)
    assert found, "reading waits for a writer of the pipe"
    assert [each.ref.name for each in found[0].objects] == ["a", "another"]
    [problem] = found[0].diagnostics
    assert problem.message == f"{tmp_path / 'a.yaml'} cannot be read: it is not a regular file."


def test_a_pipe_may_be_a_manifest_of_a_single_command(tmp_path: Path) -> None:
    """`kiteway plan -f <(helm template ...)` reads a pipe."""
    write(tmp_path, "a.yaml", "one")
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=((tmp_path / "a.yaml").read_bytes(),))
    writer.start()
    assert names(FileSource((tmp_path / "pipe",))) == ["one"]
    writer.join()


def test_a_change_in_a_subfolder_is_seen(tmp_path: Path) -> None:
    """With recursive, also in a subfolder that is made later."""

    async def seen() -> None:
        changes = FileSource((tmp_path,), recursive=True).changes()
        first = asyncio.ensure_future(anext(changes))
        number = 0
        while not first.done():  # The watch begins some time after the call.
            (tmp_path / f"new-{number}").mkdir()
            number += 1
            await asyncio.wait([first], timeout=0.2)
        # The folders are there now; what follows is a change in one of them.
        following = asyncio.ensure_future(anext(changes))
        while not following.done():
            write(tmp_path / "new-0", "a.yaml", "one")
            await asyncio.wait([following], timeout=0.2)

    asyncio.run(asyncio.wait_for(seen(), 60))


def test_another_file_in_the_folder_is_no_change(tmp_path: Path) -> None:
    """Such as a log to which `kiteway up` itself writes that it has loaded a change."""
    (tmp_path / "base").mkdir()
    for name in ("up.log", "a.yaml", "named"):
        (tmp_path / name).write_text("")
    (tmp_path / "..data").symlink_to("base")
    changed = {
        name: files._matters(tmp_path / name, {"named"}) for name in ("up.log", "a.yaml", "named", "..data", "gone")
    }
    assert changed == {"up.log": False, "a.yaml": True, "named": True, "..data": True, "gone": True}


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no exception, and the objects that were read before stay in force."""
    write(tmp_path, "a.yaml", "one")
    source = FileSource((tmp_path,))
    assert names(source) == ["one"]

    def refuse(_folder: Path, **_: bool) -> list[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "listing", refuse)
    content = source.read()
    assert [object_.metadata.name for object_ in content.objects] == ["one"]
    assert [(d.reason, d.message) for d in content.diagnostics] == [
        ("FileUnreadable", f"{tmp_path} cannot be read: Permission denied.")
    ]

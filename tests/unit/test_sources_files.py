"""Manifests in files, and which of them are read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from kiteway.sources import files
from kiteway.sources.files import FileSource
from tests.support.manifests import service, text


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files that are read from here on."""
    names: list[str] = []
    read = files._read

    def spy(path: Path) -> bytes:
        names.append(path.name)
        return read(path)

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

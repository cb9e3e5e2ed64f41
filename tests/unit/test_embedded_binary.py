"""The Milvus program is found and unpacked once, and an error explains why it is missing."""

from __future__ import annotations

import lzma
import os
import tempfile
import threading
from importlib import metadata
from pathlib import Path

import pytest

from kiteway.milvus.embedded.binary import MilvusUnavailableError, find_milvus_binary
from kiteway.ownership import NotOursError


class FakeDistribution:
    """An installed package `milvus` at `root`."""

    def __init__(self, root: Path, version: str) -> None:
        self.root = root
        self.version = version

    def read_text(self, _name: str) -> None:
        """As a distribution that came from an index."""

    def locate_file(self, path: str) -> Path:
        """Return where a file of the package is."""
        return self.root / path


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDistribution:
    """A package with two packed files, and an empty cache."""
    packed = tmp_path / "site" / "milvus" / "data" / "bin"
    packed.mkdir(parents=True)
    for name in ("milvus", "libz.so.1"):
        (packed / f"{name}.lzma").write_bytes(lzma.compress(name.encode()))
    distribution = FakeDistribution(tmp_path / "site", "2.3.5")
    monkeypatch.setattr(metadata, "distribution", lambda _name: distribution)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return distribution


def test_unpacks_into_the_cache_once(package: FakeDistribution, tmp_path: Path) -> None:
    """The files are unpacked, executable, in the user's cache, and not written again."""
    found = find_milvus_binary()
    assert found.program == tmp_path / "cache" / "kiteway" / "milvus-2.3.5" / "milvus"
    assert found.program.read_bytes() == b"milvus"
    assert found.program.stat().st_mode & 0o111
    assert (found.libraries / "libz.so.1").read_bytes() == b"libz.so.1"
    unpacked_at = found.program.stat().st_ino
    assert find_milvus_binary().program.stat().st_ino == unpacked_at


def test_many_at_once_leave_one_whole_copy(package: FakeDistribution, tmp_path: Path) -> None:
    """If eight processes unpack at the same time, all get complete files, and no scratch directory is left."""
    barrier = threading.Barrier(8)
    contents: list[bytes] = []

    def unpack() -> None:
        barrier.wait()
        contents.append(find_milvus_binary().program.read_bytes())

    threads = [threading.Thread(target=unpack) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert contents == [b"milvus"] * 8
    assert [path.name for path in (tmp_path / "cache" / "kiteway").iterdir()] == ["milvus-2.3.5"]


def test_a_broken_archive_leaves_nothing(package: FakeDistribution, tmp_path: Path) -> None:
    """If unpacking fails, neither an incomplete copy nor a scratch directory is left."""
    archive = tmp_path / "site" / "milvus" / "data" / "bin" / "libz.so.1.lzma"
    archive.write_bytes(archive.read_bytes()[:-8])
    with pytest.raises(EOFError):
        find_milvus_binary()
    assert list((tmp_path / "cache" / "kiteway").iterdir()) == []


def test_a_relative_cache_home_is_ignored(
    package: FakeDistribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative XDG_CACHE_HOME is ignored, as the XDG specification requires."""
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_milvus_binary().program.is_relative_to(tmp_path / ".cache")


def test_a_missing_package_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the error names it and says what to install."""

    def missing(name: str) -> object:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(MilvusUnavailableError, match=r"'milvus' is not installed.*kiteway\[demo\]"):
        find_milvus_binary()


def test_another_version_is_explained(package: FakeDistribution) -> None:
    """Another version of the package is an error that names it."""
    package.version = "2.2.9"
    with pytest.raises(MilvusUnavailableError, match=r"is version 2\.2\.9.*needs 2\.3\.5"):
        find_milvus_binary()


def test_a_wheel_without_the_program_is_explained(package: FakeDistribution) -> None:
    """A package without the server program (for another platform) is an error with a fix."""
    (package.root / "milvus" / "data" / "bin" / "milvus.lzma").unlink()
    with pytest.raises(MilvusUnavailableError, match=r"no server program.*--force-reinstall"):
        find_milvus_binary()


def test_it_says_that_it_unpacks_only_when_it_does(package: FakeDistribution) -> None:
    """The first use says where the copy stays; the second one has nothing to say."""
    said: list[str] = []
    program = find_milvus_binary(said.append).program
    assert [str(program.parent) in line for line in said] == [True]
    find_milvus_binary(said.append)
    assert len(said) == 1


def test_a_cache_of_another_user_is_not_used(
    package: FakeDistribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `sudo -E make demo` the user's cache is root's: the demo works without root all the same."""
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))

    def make_own(folder: Path) -> None:
        if folder.is_relative_to(tmp_path / "cache"):
            raise NotOursError("it is root's.")
        folder.mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr("kiteway.milvus.embedded.binary.make_own", make_own)
    assert find_milvus_binary().program.is_relative_to(tmp_path / "temporary" / f"kiteway-cache-{os.getuid()}")

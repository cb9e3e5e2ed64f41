"""Links on the path of a manifest, made by root, by another user, and by the owner of the file."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from kiteway.linked import open_linked
from kiteway.sources.files import FileSource

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file to another user")


def content(path: Path) -> bytes:
    """Return the first bytes of a file that is opened with its links checked."""
    with open(path, "rb", opener=open_linked) as file:
        return file.read(100)


def nobodys(path: Path) -> None:
    """Give a file, folder or link to another user."""
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return a file that belongs to this user, in a folder."""
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "secret.yaml").write_text("token: top-secret\n")
    return tmp_path / "ours" / "secret.yaml"


@as_root
def test_a_tenants_link_opens_no_file_of_ours(tmp_path: Path, secret: Path) -> None:
    """Whether the link is the file, a folder on its path, or the second of two links, and the error quotes nothing of it."""
    (tmp_path / "file.yaml").symlink_to(secret)
    (tmp_path / "folder").symlink_to(secret.parent)
    (tmp_path / "relative.yaml").symlink_to("ours/../ours/secret.yaml")
    for name in ("file.yaml", "folder", "relative.yaml"):
        nobodys(tmp_path / name)
    (tmp_path / "ours.yaml").symlink_to(tmp_path / "file.yaml")
    for path in ("file.yaml", "folder/secret.yaml", "relative.yaml", "ours.yaml"):
        with pytest.raises(
            PermissionError, match="user nobody has made a link on its path, and the file belongs to user root"
        ):
            content(tmp_path / path)
    source = FileSource((tmp_path / "file.yaml",), regular_only=True)
    [problem] = source.read().diagnostics[:1]
    assert "has made a link on its path" in problem.message
    assert "top-secret" not in str(source.read())


@as_root
def test_links_between_files_of_one_user_are_followed(tmp_path: Path, secret: Path) -> None:
    """A tenant may link to their own files, and root may link to anything, as a ConfigMap's volume does."""
    (tmp_path / "theirs.yaml").write_text("a: 1\n")
    (tmp_path / "link.yaml").symlink_to("theirs.yaml")
    nobodys(tmp_path / "theirs.yaml")
    nobodys(tmp_path / "link.yaml")
    assert content(tmp_path / "link.yaml") == b"a: 1\n"
    (tmp_path / "..data").symlink_to(secret.parent)
    (tmp_path / "secret.yaml").symlink_to("..data/secret.yaml")
    assert content(tmp_path / "secret.yaml") == b"token: top-secret\n"


@as_root
def test_a_path_that_is_exchanged_meanwhile_opens_no_file_of_ours(tmp_path: Path, secret: Path) -> None:
    """A tenant exchanges a folder for a link to ours, again and again."""
    (tmp_path / "tenant").mkdir()
    (tmp_path / "tenant" / "secret.yaml").write_text("theirs\n")
    (tmp_path / "link").symlink_to(secret.parent)
    for name in ("tenant", "tenant/secret.yaml", "link"):
        nobodys(tmp_path / name)
    (tmp_path / "at").symlink_to("tenant")
    nobodys(tmp_path / "at")
    ended = threading.Event()

    def exchange() -> None:
        while not ended.is_set():
            for target in ("link", "tenant"):
                (tmp_path / "new").symlink_to(target)
                nobodys(tmp_path / "new")
                (tmp_path / "new").replace(tmp_path / "at")

    thread = threading.Thread(target=exchange)
    thread.start()
    found: set[bytes] = set()
    try:
        for _ in range(3000):
            try:
                found.add(content(tmp_path / "at" / "secret.yaml"))
            except PermissionError:
                found.add(b"refused")
    finally:
        ended.set()
        thread.join()
    assert found == {b"theirs\n", b"refused"}


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """A folder, a pipe, a socket and a circle of links; a missing file is said to be missing."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name in (".", "pipe", "socket"):
            with pytest.raises(OSError, match="it is not a regular file"):
                content(tmp_path / name)
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        content(tmp_path / "circle")
    with pytest.raises(FileNotFoundError):
        content(tmp_path / "missing" / "file.yaml")


def test_no_descriptor_stays_open(tmp_path: Path, secret: Path) -> None:
    """Neither after a file was opened nor after one was refused."""
    (tmp_path / "link.yaml").symlink_to(secret)
    (tmp_path / "circle").symlink_to("circle")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        content(tmp_path / "link.yaml")
        for name in ("circle", "missing", "."):
            with pytest.raises(OSError):
                content(tmp_path / name)
    assert len(list(Path("/proc/self/fd").iterdir())) == before

"""The files of one instance."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kiteway.files import write_atomic
from kiteway.instance import (
    SOCKET_PATH_MAX_BYTES,
    Instance,
    InstanceError,
    InstanceRunningError,
    default_data_dir,
)


@pytest.fixture
def short_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory whose sockets' paths are short enough."""
    return tmp_path_factory.mktemp("d")


@pytest.fixture
def long_dir(tmp_path: Path) -> Path:
    """A data directory whose own sockets' paths would be too long."""
    return tmp_path / ("x" * 100)


def mode(path: Path) -> int:
    """Return the permissions of ``path``."""
    return stat.S_IMODE(path.lstat().st_mode)


def test_default_data_dir_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG_STATE_HOME names the parent; a relative one is ignored, as the XDG specification says."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_data_dir() == tmp_path / "kiteway"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_data_dir() == Path("/home/someone/.local/state/kiteway")


def test_relative_data_dir_stays_the_same_after_chdir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The paths stay the same when the process changes its directory."""
    monkeypatch.chdir(tmp_path)
    instance = Instance(Path("d"))
    monkeypatch.chdir("/")
    assert instance.data_dir == tmp_path / "d"


def test_everything_is_private_and_gone_afterwards(short_dir: Path) -> None:
    """The run directory is 0700, its files 0600; only state/ and logs/ remain after the instance."""
    instance = Instance(short_dir)
    with instance.acquire():
        write_atomic(instance.bootstrap_file, b"{}", 0o600)
        assert mode(instance.run_dir) == 0o700
        assert mode(instance.bootstrap_file) == 0o600
        assert mode(instance.lock_file) == 0o600
        assert instance.run_dir == short_dir / "run"
    assert sorted(path.name for path in short_dir.iterdir()) == ["logs", "state"]


def test_second_instance_is_refused_with_the_pid_of_the_first(short_dir: Path) -> None:
    """The error names the first instance's process, and the first loses nothing."""
    with Instance(short_dir).acquire():
        write_atomic(Instance(short_dir).bootstrap_file, b"{}", 0o600)
        with pytest.raises(InstanceRunningError, match=rf"in use by process {os.getpid()}: .*--data-dir"):
            Instance(short_dir).acquire().__enter__()
        assert Instance(short_dir).bootstrap_file.read_bytes() == b"{}"
    with Instance(short_dir).acquire():
        pass


def test_running_pid(short_dir: Path) -> None:
    """The running process is found by its lock, not by a number in a file."""
    instance = Instance(short_dir)
    assert instance.running_pid() is None
    with instance.acquire():
        assert instance.running_pid() == os.getpid()
    instance.lock_file.write_text("1\n")
    assert instance.running_pid() is None


def test_leftovers_of_a_killed_instance_are_removed(short_dir: Path) -> None:
    """After kill -9 the next start leaves no old socket and no old temporary file."""
    script = (
        "import os, pathlib, signal, socket, sys\n"
        "from kiteway.files import write_atomic\n"
        "from kiteway.instance import Instance\n"
        "instance = Instance(pathlib.Path(sys.argv[1]))\n"
        "with instance.acquire():\n"
        "    socket.socket(socket.AF_UNIX).bind(str(instance.admin_socket))\n"
        "    write_atomic(instance.supervisor_file, b'{}', 0o600)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, short_dir], check=False).returncode == -9
    instance = Instance(short_dir)
    assert instance.admin_socket.is_socket()
    assert instance.running_pid() is None
    with instance.acquire():
        assert list(instance.run_dir.iterdir()) == []


def test_long_data_dir_gets_short_sockets_that_are_found_again(
    long_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Socket paths fit the platform; a process with another environment (`kiteway status`) finds the same ones."""
    runtime = tmp_path_factory.mktemp("r")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    instance = Instance(long_dir)
    with instance.acquire():
        run_dir = instance.run_dir
        assert run_dir.parent == runtime
        assert mode(run_dir) == 0o700
        for socket in (instance.admin_socket, instance.ads_socket, instance.status_socket):
            assert len(os.fsencode(socket)) <= SOCKET_PATH_MAX_BYTES
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        assert Instance(long_dir).run_dir == run_dir
    assert list(runtime.iterdir()) == []
    assert not (long_dir / "run").is_symlink()


def test_short_run_dir_differs_between_data_dirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two long data directories have different run directories."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    first, second = (Instance(tmp_path / (letter * 100)) for letter in "ab")
    assert first.run_dir != second.run_dir
    assert first.run_dir.parent == second.run_dir.parent == Path("/tmp")  # noqa: S108


def test_run_dir_prepared_by_another_is_refused(
    long_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A run directory that others can enter, or a link in its place, is an error and does not change."""
    runtime = tmp_path_factory.mktemp("r")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    run_dir = Instance(long_dir).run_dir
    run_dir.mkdir(mode=0o755)
    run_dir.chmod(0o755)
    (run_dir / "theirs").touch()
    with pytest.raises(InstanceError, match="belongs to this user alone"):
        Instance(long_dir).acquire().__enter__()
    assert (run_dir / "theirs").exists()
    (run_dir / "theirs").unlink()
    run_dir.rmdir()
    run_dir.symlink_to(runtime)
    with pytest.raises(InstanceError, match="belongs to this user alone"):
        Instance(long_dir).acquire().__enter__()


def test_unusable_data_dir_is_a_clear_error(tmp_path: Path) -> None:
    """The error names a file in the place of the directory and says what to do."""
    (tmp_path / "file").touch()
    with pytest.raises(InstanceError, match=r"Cannot use the data directory .*file/d.*--data-dir"):
        Instance(tmp_path / "file" / "d").acquire().__enter__()


def test_write_atomic_replaces_in_one_step(tmp_path: Path) -> None:
    """A failed write leaves the old content and no temporary file."""
    path = tmp_path / "f"
    write_atomic(path, b"old", 0o600)
    with pytest.raises(TypeError):
        write_atomic(path, "text", 0o600)  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    assert mode(path) == 0o600

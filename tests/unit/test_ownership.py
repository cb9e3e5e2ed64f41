"""Folders and files that another user has made."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kiteway import ownership
from kiteway.cli import app
from kiteway.controlplane.access_log import AccessLog
from kiteway.instance import Instance, InstanceError
from kiteway.ownership import NotOursError, check_own, make_own, open_own
from kiteway.supervisor.logs import RotatingLog

NOBODY = pwd.getpwnam("nobody").pw_uid
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")
# The child is another user, who cannot read pytest's folders, nor perhaps ours.
ACQUIRE = """
import os, sys
from pathlib import Path
from kiteway.instance import Instance, InstanceError
os.setgroups([]); os.setgid({gid}); os.setuid({uid})
try:
    with Instance(Path(sys.argv[1])).acquire():
        print("acquired")
except InstanceError as error:
    print(error)
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder like /tmp: everybody's, and sticky."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


def acquired_as(uid: int, data_dir: Path) -> str:
    """Return what happens when that user starts an instance."""
    script = ACQUIRE.format(uid=uid, gid=pwd.getpwuid(uid).pw_gid)
    done = subprocess.run([sys.executable, "-c", script, data_dir], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def refused(data_dir: Path) -> str:
    """Return why an instance does not start there."""
    with pytest.raises(InstanceError) as caught:
        Instance(data_dir).acquire().__enter__()
    return str(caught.value)


@as_root
def test_a_data_directory_of_another_user_is_refused_and_left_alone(shared: Path) -> None:
    """The error names the owner and says what to do, and the directory does not change."""
    planted = shared / "kiteway"
    (planted / "run").mkdir(parents=True)
    (planted / "run" / "theirs").touch()
    for path in (planted, planted / "run"):
        os.chown(path, NOBODY, NOBODY)
    why = refused(planted)
    assert f"{planted} belongs to user nobody, not to user root" in why
    assert "--data-dir" in why
    assert sorted(path.name for path in planted.iterdir()) == ["run"]
    assert (planted / "run" / "theirs").exists()


@as_root
def test_the_same_holds_for_a_user_who_is_not_root(shared: Path) -> None:
    """A user other than root is refused a folder of root's, and accepted with its own folder."""
    (shared / "roots").mkdir(mode=0o777)
    (shared / "roots").chmod(0o777)
    assert "belongs to user root, not to user nobody" in acquired_as(NOBODY, shared / "roots")
    assert acquired_as(NOBODY, shared / "own") == "acquired"
    assert "belongs to user nobody, not to user root" in refused(shared / "own")


@as_root
@pytest.mark.parametrize("name", ["state", "logs"])
def test_a_folder_in_it_of_another_user_is_refused(shared: Path, name: str) -> None:
    """The folders for state and logs must belong to the user as well."""
    (shared / "d" / name).mkdir(parents=True)
    os.chown(shared / "d" / name, NOBODY, NOBODY)
    assert f"{shared}/d/{name} belongs to user nobody" in refused(shared / "d")


@as_root
def test_a_way_that_another_user_can_change_is_refused(shared: Path) -> None:
    """A folder inside another user's folder can be replaced by that user; so can a link of another user."""
    (shared / "theirs" / "d").mkdir(parents=True)
    os.chown(shared / "theirs", NOBODY, NOBODY)
    assert f"{shared}/theirs, which belongs to user nobody, who can replace it" in refused(shared / "theirs" / "d")
    assert f"{shared}/theirs, which belongs to user nobody" in refused(shared / "theirs" / "new")
    assert not (shared / "theirs" / "new").exists()
    (shared / "ours").mkdir()
    (shared / "link").symlink_to(shared / "ours")
    os.chown(shared / "link", NOBODY, NOBODY, follow_symlinks=False)
    assert f"{shared}/link, a link that user nobody has made" in refused(shared / "link" / "d")
    assert f"{shared}/link, a link that user nobody has made" in refused(shared / "link")
    assert list((shared / "ours").iterdir()) == []


@pytest.mark.parametrize("mode", [0o777, 0o707, 0o770, 0o1777])
def test_a_data_directory_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    """This holds also for a sticky one of the same user: others could create a link in it first."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d").chmod(mode)
    assert f"{tmp_path}/d is writable by others" in refused(tmp_path / "d")


def test_a_parent_that_others_may_write_to_is_refused_unless_it_is_sticky(tmp_path: Path) -> None:
    """In a sticky folder such as /tmp only the owner can rename or remove a folder."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert f"{tmp_path}/open, where other users can replace it" in refused(tmp_path / "open" / "d")
    (tmp_path / "open").chmod(0o1777)
    make_own(tmp_path / "open" / "d")


@as_root
def test_only_the_own_primary_group_may_write_to_a_parent(tmp_path: Path) -> None:
    """Most systems have one primary group for each user, and make homes writable by it."""
    parent = tmp_path / "home"
    parent.mkdir()
    parent.chmod(0o775)
    make_own(parent / "d")
    os.chown(parent, -1, NOBODY)
    with pytest.raises(NotOursError, match="other users can replace it"):
        make_own(parent / "d")


def test_a_volume_may_be_open_to_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes mounts an emptyDir with mode 0777 and root as its owner, whoever the container runs as."""
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(0o2777)
    monkeypatch.setattr(ownership, "_ROOT", os.geteuid())
    with pytest.raises(NotOursError):
        make_own(volume)
    monkeypatch.setattr(os.path, "ismount", volume.__eq__)
    make_own(volume)
    make_own(volume / "d")
    with Instance(volume).acquire():
        assert (volume / "state").is_dir()


def test_own_links_to_the_data_directory_are_followed_and_those_in_it_are_not(tmp_path: Path) -> None:
    """The data directory may be a link; inside it only Kiteway's own link is allowed."""
    make_own(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    with Instance(tmp_path / "link").acquire():
        check_own(tmp_path / "link")
    shutil.rmtree(tmp_path / "real" / "logs")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "real" / "logs").symlink_to(tmp_path / "elsewhere")
    assert f"{tmp_path}/link/logs is a link" in refused(tmp_path / "link")


@pytest.mark.parametrize("length", [1, 100])
def test_where_run_leads_to_is_never_removed(tmp_path: Path, length: int) -> None:
    """Only a link to the name that Kiteway computes is followed; any other link is removed, and not its target."""
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    (victim / "precious").touch()
    data_dir = tmp_path / ("d" * length)
    data_dir.mkdir()
    (data_dir / "run").symlink_to(victim)
    with Instance(data_dir).acquire():
        assert Instance(data_dir).run_dir not in {victim, data_dir / "victim"}
        assert (victim / "precious").exists()
    assert (victim / "precious").exists()
    (data_dir / "run").unlink(missing_ok=True)


def test_asking_follows_no_planted_lock(tmp_path: Path) -> None:
    """`kiteway status` on another user's directory neither hangs at a FIFO nor opens the target of a link."""
    os.mkfifo(tmp_path / "kiteway.lock")
    assert Instance(tmp_path).running_pid() is None
    (tmp_path / "kiteway.lock").unlink()
    (tmp_path / "kiteway.lock").symlink_to("/dev/tty")
    done = CliRunner().invoke(app, ["status", "--data-dir", str(tmp_path)])
    assert done.exit_code == 1
    assert "no instance runs on" in done.output


@as_root
@pytest.mark.parametrize("command", [("status",), ("cert", "list"), ("cert", "renew", "x")], ids=" ".join)
def test_another_users_instance_is_an_error_with_a_sentence(shared: Path, command: tuple[str, ...]) -> None:
    """For another user's instance the error is a sentence, not a traceback."""
    CliRunner().invoke(app, [*command, "--data-dir", str(shared / "none")])  # imported before this user may not read us
    with Instance(shared / "d").acquire():
        os.seteuid(NOBODY)
        try:
            done = CliRunner().invoke(app, [*command, "--data-dir", str(shared / "d")])
        finally:
            os.seteuid(0)
    assert done.exit_code == 1
    assert done.output.startswith(
        f"error: Cannot look at the data directory {shared}/d: Permission denied. Run this as"
    )


def test_a_link_among_the_logs_is_refused(tmp_path: Path) -> None:
    """Envoy opens its access log by name and must not write to the target of a link."""
    (tmp_path / "d" / "logs").mkdir(parents=True)
    (tmp_path / "d" / "logs" / "access.log").symlink_to(tmp_path / "victim")
    assert f"{tmp_path}/d/logs/access.log is neither a file nor a folder" in refused(tmp_path / "d")
    assert not (tmp_path / "victim").exists()


def _rotating(path: Path) -> None:
    log = RotatingLog(path)
    log.write(b"line\n")
    log.close()


def _access(path: Path) -> None:
    AccessLog(path, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("write", [_rotating, _access])
@pytest.mark.parametrize("plant", ["link", "dangling", "fifo"])
def test_logs_are_not_written_through_links_or_fifos(tmp_path: Path, write: Callable[[Path], None], plant: str) -> None:
    """A link is not followed, and a FIFO does not block the writer; lines for such a log are lost."""
    victim, log = tmp_path / "victim", tmp_path / "child.log"
    if plant == "link":
        victim.write_bytes(b"precious")
    if plant == "fifo":
        os.mkfifo(log)
    else:
        log.symlink_to(victim)
    write(log)
    assert (victim.read_bytes() if victim.exists() else None) == (b"precious" if plant == "link" else None)


@as_root
def test_a_file_of_another_user_is_not_opened(tmp_path: Path) -> None:
    """The other user could read and change it."""
    (tmp_path / "f").touch()
    os.chown(tmp_path / "f", NOBODY, NOBODY)
    with pytest.raises(OSError, match="is not a file of user root"):
        open_own(tmp_path / "f", os.O_WRONLY)

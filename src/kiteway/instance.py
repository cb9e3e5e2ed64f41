"""The paths of one running instance of Kiteway."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kiteway.ownership import NotOursError, check_own, check_plain, check_private, make_own, open_own

# The shortest limit among the platforms: sun_path holds 104 bytes on macOS and 108 on Linux, one of them a NUL.
SOCKET_PATH_MAX_BYTES = 103
_LONGEST_SOCKET_NAME = "status.sock"
# `running_pid` has the lock for an instant; a starting instance waits longer than that.
_LOCK_ATTEMPTS = 5
_LOCK_RETRY_SECONDS = 0.02


class InstanceError(Exception):
    """The files of an instance cannot be used; the message says which, why and what to do."""


class InstanceRunningError(InstanceError):
    """Another instance runs on the same data directory. ``pid`` is its process, if known."""

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        self.pid = pid
        who = f"process {pid}" if pid else "another process"
        super().__init__(
            f"{data_dir} is in use by {who}: one instance runs on a data directory. "
            f"Stop it, or give this one a directory of its own with --data-dir, and ports of its own."
        )


def default_data_dir() -> Path:
    """Return ``$XDG_STATE_HOME/kiteway``, by default ``~/.local/state/kiteway``."""
    state_home = os.environ.get("XDG_STATE_HOME", "")
    # The XDG base directory specification: a relative path is invalid and ignored.
    base = Path(state_home) if Path(state_home).is_absolute() else Path.home() / ".local" / "state"
    return base / "kiteway"


@dataclass(frozen=True)
class Instance:
    """
    The paths of one instance.

    ``state/`` and ``logs/`` outlive the process; everything in ``run_dir`` belongs to the running process alone.
    """

    data_dir: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "data_dir", self.data_dir.absolute())

    @property
    def lock_file(self) -> Path:
        """Locked (flock) and holding the supervisor's pid while the instance runs."""
        return self.data_dir / "kiteway.lock"

    @property
    def state_dir(self) -> Path:
        """Files that must survive a restart: issued certificates, accounts."""
        return self.data_dir / "state"

    @property
    def log_dir(self) -> Path:
        """The rotated logs of the children."""
        return self.data_dir / "logs"

    def log_file(self, child: str) -> Path:
        """Return the newest log of a child process, by its name."""
        return self.log_dir / f"{child}.log"

    @property
    def run_dir(self) -> Path:
        """
        The directory (0700) of sockets and temporary files.

        This is ``data_dir/run``. If the path of a socket in it would be too long, ``data_dir/run`` is a link to a directory
        with a short path. A command in another environment follows the link. A link to any other name is not followed.
        """
        link = self._run_link
        if link.is_symlink() and (there := link.readlink()).is_absolute() and there.name == self._short_name():
            return there
        return link if _fits(link) else self._short_run_dir()

    @property
    def admin_socket(self) -> Path:
        """Envoy's admin API."""
        return self.run_dir / "admin.sock"

    @property
    def ads_socket(self) -> Path:
        """The control plane's ADS, for Envoy."""
        return self.run_dir / "ads.sock"

    @property
    def status_socket(self) -> Path:
        """The control plane's status API, for ``kiteway status``."""
        return self.run_dir / "status.sock"

    @property
    def calls_socket(self) -> Path:
        """The socket on which Envoy's filter serves its counts of calls, for the metrics and ``kiteway top``."""
        return self.run_dir / "calls.sock"

    @property
    def bootstrap_file(self) -> Path:
        """Envoy's bootstrap."""
        return self.run_dir / "envoy.json"

    @property
    def drain_file(self) -> Path:
        """``0``, or ``1`` while Envoy must close idle connections; the file is replaced, never written in place."""
        return self.run_dir / "drain"

    @property
    def controlplane_file(self) -> Path:
        """The control plane's configuration."""
        return self.run_dir / "controlplane.json"

    @property
    def dashboard_file(self) -> Path:
        """The configuration of the web page."""
        return self.run_dir / "dashboard.json"

    @property
    def supervisor_file(self) -> Path:
        """The supervisor's state of its children."""
        return self.run_dir / "supervisor.json"

    @property
    def _run_link(self) -> Path:
        return self.data_dir / "run"

    def _short_name(self) -> str:
        return f"kiteway-{hashlib.sha256(os.fsencode(os.path.realpath(self.data_dir))).hexdigest()[:16]}"

    def _short_run_dir(self) -> Path:
        name = self._short_name()
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
        if runtime.is_absolute() and _is_own(runtime) and _fits(runtime / name):
            return runtime / name
        return Path("/tmp", name)  # noqa: S108 - what is there is checked to be ours

    def running_pid(self) -> int | None:
        """
        Return the pid of the supervisor that runs on this data directory; None when there is none.

        Raises:
            InstanceError: this user may not look.
        """
        try:
            # Another user may call this, so the directory need not belong to this user.
            descriptor = os.open(self.lock_file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ELOOP}:
                return None
            raise InstanceError(
                f"Cannot look at the data directory {self.data_dir}: {error.strerror or error}. "
                f"Run this as the user of the instance, or name another data directory with --data-dir."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_pid(descriptor)
        else:
            return None
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def acquire(self) -> Iterator[None]:
        """
        Own the data directory: lock it, remove the files of a killed instance, and clean up at the end.

        Raises:
            InstanceRunningError: another instance owns it.
            InstanceError: a directory cannot be made, or another user can write to it.
        """
        try:
            make_own(self.data_dir)
            for directory in (self.state_dir, self.log_dir):
                make_own(directory, link=False)
            check_plain(self.log_dir)  # Envoy opens its access log there
            descriptor = self._lock()
        except NotOursError as error:
            raise InstanceError(f"{error} Or name another data directory with --data-dir.") from error
        except OSError as error:
            raise InstanceError(
                f"Cannot use the data directory {self.data_dir}: {error.strerror or error}. "
                f"Name a writable one with --data-dir."
            ) from error
        try:
            try:
                self.clean()
                self._make_run_dir()
            except NotOursError as error:
                raise InstanceError(f"{error} Or name another data directory with --data-dir.") from error
            try:
                yield
            finally:
                self.clean()
                self.lock_file.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def _lock(self) -> int:
        for attempt in range(_LOCK_ATTEMPTS):
            if attempt:
                time.sleep(_LOCK_RETRY_SECONDS)
            descriptor = open_own(self.lock_file, os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = _read_pid(descriptor)
                os.close(descriptor)
                continue
            # The previous owner removes the file when it ends; a lock on a removed file would not exclude others.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), self.lock_file.stat()):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                    return descriptor
            os.close(descriptor)
            pid = None
        raise InstanceRunningError(self.data_dir, pid)

    def _make_run_dir(self) -> None:
        link = self._run_link
        run_dir = self.run_dir
        with contextlib.suppress(FileExistsError):
            run_dir.mkdir(mode=0o700)
        check_private(run_dir)
        if run_dir != link:
            link.symlink_to(run_dir)

    def clean(self) -> None:
        """Remove sockets and temporary files: the whole run directory. Only the owner of the lock may call it."""
        run_dir = self.run_dir
        if self._run_link.is_symlink():
            self._run_link.unlink()
        if os.path.lexists(run_dir):
            check_private(run_dir)
            shutil.rmtree(run_dir, ignore_errors=True)


def _fits(run_dir: Path) -> bool:
    return len(os.fsencode(run_dir / _LONGEST_SOCKET_NAME)) <= SOCKET_PATH_MAX_BYTES


def _is_own(folder: Path) -> bool:
    try:
        check_own(folder)
    except (NotOursError, OSError):
        return False
    return True


def _read_pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None

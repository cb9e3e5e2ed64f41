"""Checks that no other user has made, or can change, a folder or file."""

from __future__ import annotations

import errno
import os
import pwd
import stat
from pathlib import Path

from kiteway.printable import suggested

_ROOT = 0
_MOST_LINKS = 40  # as the kernel
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OWN = "Kiteway keeps keys and logs in it: remove it, or run Kiteway as that user."
_OTHER = "Choose a folder that only you and root can change."


class NotOursError(Exception):
    """Another user has made a folder or can change it; the message names both and says what to do."""


def make_own(folder: Path, *, link: bool = True) -> None:
    """
    Make ``folder`` (0700) and its parents where they are missing, and check that no other user can change what is in it.

    The folder must belong to this user, and neither its group nor others may write to it. Each folder and symbolic link on
    its path must belong to root or to this user. No other user may be able to rename anything in these folders: they are
    not writable by others, or sticky like /tmp. This user's primary group counts as this user, because on most systems each
    user has a primary group of their own.

    The root of a mount that root owns may be writable by all: it is a volume (Kubernetes makes an emptyDir 0777), and the
    system that mounted it controls the access to it. Without ``link`` the folder itself must not be a symbolic link,
    whoever made it.

    Raises:
        NotOursError: one of these conditions does not hold.
        OSError: the folder cannot be made or read.
    """
    _check_way(folder.absolute())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_own(folder, link=link)


def check_own(folder: Path, *, link: bool = True) -> None:
    """
    Check ``folder``, and each folder and link on its path, as `make_own` does, but make nothing.

    Raises:
        NotOursError: another user can change the folder.
        OSError: the folder cannot be read.
    """
    real = _check_way(folder.absolute())
    if not link and folder.is_symlink():
        raise NotOursError(f"{folder} is a link. Remove it. If its content must be elsewhere, mount it there.")
    found = real.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotOursError(f"{folder} is not a folder. Remove it.")
    if _is_volume(real, found):
        return
    if found.st_uid != os.geteuid():
        raise NotOursError(f"{folder} belongs to {user_name(found.st_uid)}, not to {user_name(os.geteuid())}. {_OWN}")
    if found.st_mode & _OTHERS_WRITE:
        raise NotOursError(
            f"{folder} is writable by others. Look at what is in it, then run {suggested('chmod', 'go-w', str(folder))}."
        )


def check_plain(folder: Path) -> None:
    """
    Check that everything in ``folder`` is a file or a folder, because other code opens it by name and follows links.

    Raises:
        NotOursError: something is a link, a FIFO or a device.
        OSError: the folder cannot be read.
    """
    for path in folder.iterdir():
        if not stat.S_ISREG(mode := path.lstat().st_mode) and not stat.S_ISDIR(mode):
            raise NotOursError(f"{path} is neither a file nor a folder ({stat.filemode(mode)}). Remove it.")


def check_private(folder: Path) -> None:
    """
    Check that ``folder`` is not a link, belongs to this user, and is closed to all others (0700).

    Raises:
        NotOursError: one of these conditions does not hold.
        OSError: the folder cannot be read.
    """
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        what = (
            "a link"
            if stat.S_ISLNK(found.st_mode)
            else f"of {user_name(found.st_uid)}, mode {stat.filemode(found.st_mode)}"
        )
        raise NotOursError(
            f"{folder} is not a directory that belongs to this user alone (mode 0700): it is {what}. Remove it."
        )


def open_own(path: Path, flags: int, mode: int = 0o600) -> int:
    """
    Open a file of this user's, as `os.open` does: no link, no device, no file of another user's.

    Raises:
        OSError: it cannot be opened, or is not such a file.
    """
    # O_NONBLOCK: a FIFO in its place would wait for a reader.
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        os.close(descriptor)
        raise OSError(f"{path} is not a file of {user_name(os.geteuid())}; remove it")
    return descriptor


def read_own(path: Path, most: int) -> bytes:
    """
    Read a file of this user's, see `open_own`.

    Raises:
        OSError: it cannot be read, is not such a file, or has more than ``most`` bytes.
    """
    with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
        if os.fstat(file.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"{path} has more than {most} bytes; remove it")
        return file.read(most)


def _check_way(path: Path) -> Path:
    """Check every folder and link on the path ``path``; return its target, which need not exist."""
    at, ahead, links = Path("/"), list(path.parts[1:]), 0
    _check_on_the_way(at, at.lstat(), path)
    while ahead:
        name = ahead.pop(0)
        if name == "..":
            at = at.parent
            continue
        here = at / name
        try:
            found = here.lstat()
        except FileNotFoundError:
            return here.joinpath(*ahead)
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise NotOursError(f"{path} leads through too many links.")
            if found.st_uid not in {_ROOT, os.geteuid()}:
                raise NotOursError(
                    f"{path} leads through {here}, a link that {user_name(found.st_uid)} has made. {_OTHER}"
                )
            target = here.readlink()
            if target.is_absolute():
                at = Path("/")
            ahead = [part for part in target.parts if part != "/"] + ahead
            continue
        if ahead:
            _check_on_the_way(here, found, path)
        at = here
    return at


def _check_on_the_way(here: Path, found: os.stat_result, path: Path) -> None:
    if not stat.S_ISDIR(found.st_mode):
        return  # the code that makes or opens the file below it reports the error
    if found.st_uid not in {_ROOT, os.geteuid()}:
        raise NotOursError(
            f"{path} is in {here}, which belongs to {user_name(found.st_uid)}, who can replace it. {_OTHER}"
        )
    group = found.st_mode & stat.S_IWGRP and found.st_gid not in {_ROOT, os.getegid()}
    if (group or found.st_mode & stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX and not _is_volume(here, found):
        raise NotOursError(f"{path} is in {here}, where other users can replace it. {_OTHER}")


def _is_volume(here: Path, found: os.stat_result) -> bool:
    return found.st_uid == _ROOT and here != Path("/") and os.path.ismount(here)


def user_name(uid: int) -> str:
    """Return the name of a user for a message, or the number where there is none."""
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"

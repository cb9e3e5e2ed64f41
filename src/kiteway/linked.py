"""Opens a file that another user may have linked to: a link opens nothing for its maker that the maker could not open."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from kiteway.ownership import user_name

_ROOT = 0
_MOST_LINKS = 40  # as the kernel


def open_linked(path: str, flags: int) -> int:
    """
    Open a regular file as `os.open` does, and check who made the symbolic links on its path.

    Each link must have been made by root, by this user or by the owner of the file: a tenant who may write manifests shall not
    have a file of this user read, and quoted in an error, through a link to it. Each component is opened where the one before it
    was found, so a path that is exchanged meanwhile changes nothing.

    Raises:
        OSError: it cannot be opened, is not a regular file, or one of its links was made by another user.
    """
    at, ahead, makers, links = _start("/"), _parts(Path(path).absolute()), set[int](), 0
    try:
        while ahead:
            here = os.open(ahead.pop(0), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            found = os.fstat(here)
            if not stat.S_ISLNK(found.st_mode):
                os.close(at)
                at = here
                continue
            try:
                target = Path(os.readlink("", dir_fd=here))
            finally:
                os.close(here)
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            makers.add(found.st_uid)
            ahead = _parts(target) + ahead
            if target.is_absolute():
                start = _start("/")
                os.close(at)
                at = start
        _check(os.fstat(at), makers)
        # What was found is opened, not what is at the path by now.
        return os.open(f"/proc/self/fd/{at}", flags | os.O_CLOEXEC)
    finally:
        os.close(at)


def _start(folder: str) -> int:
    return os.open(folder, os.O_PATH | os.O_CLOEXEC)


def _parts(path: Path) -> list[str]:
    return [part for part in path.parts if part != path.root]


def _check(found: os.stat_result, makers: set[int]) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    for maker in makers - {_ROOT, os.geteuid(), found.st_uid}:
        raise OSError(
            errno.EPERM,
            f"{user_name(maker)} has made a link on its path, and the file belongs to {user_name(found.st_uid)}",
        )

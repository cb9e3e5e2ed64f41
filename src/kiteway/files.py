"""Writes files atomically, so that no reader ever sees a file that is written only in part; reads files with secrets."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """
    Replace ``path`` with ``data`` in one step.

    The temporary file has ``mode`` from its first moment (a 0600 key is never wider) and is removed on failure.

    Raises:
        OSError: the folder cannot be written; ``path`` is then unchanged.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise


def read_secret(path: Path, what: str, option: str, most: int) -> bytes:
    """
    Return at most ``most`` + 1 bytes of the file that ``option`` names; ``what`` is in it, such as "the token".

    Raises:
        ValueError: the file cannot be read, or every user of this machine may read or change it; the message says what to do.
    """
    try:
        with path.open("rb") as opened:
            content, mode = opened.read(most + 1), os.fstat(opened.fileno()).st_mode
    except OSError as error:
        raise ValueError(f"the file {path} of {option} cannot be read: {error.strerror or error}") from error
    if mode & 0o007:
        raise ValueError(f"every user of this machine can use {what} in {path}; run `chmod o= {path}`")
    return content

"""The key with which the filter hashes API keys and, if asked to, the names of users."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from kiteway.instance import Instance, InstanceError
from kiteway.ownership import open_own

LENGTH = 16
"""Bytes, as the filter wants them (``HashKey`` in ``filter/core/src/milvus/caller.rs``)."""


def user_key_file(instance: Instance) -> Path:
    """
    Return the file with the key, made at random (0600) where there is none.

    It outlives the process, so that a user has the same hash in all logs of an installation.

    Raises:
        InstanceError: it cannot be read or written, or is not this user's.
    """
    path = instance.state_dir / "users.key"
    try:
        with os.fdopen(open_own(path, os.O_RDWR | os.O_CREAT), "r+b") as file:
            # One that a full disk cut short would make Envoy refuse every pool.
            if len(file.read(LENGTH + 1)) != LENGTH:
                file.seek(0)
                file.truncate()
                file.write(secrets.token_bytes(LENGTH))
    except OSError as error:
        raise InstanceError(f"Cannot use the key of users {path}: {error.strerror or error}.") from error
    return path

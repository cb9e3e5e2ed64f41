"""
The last good configuration, for a container that starts while the API server is unreachable.

It holds private keys: the file is 0600, and its folder should be memory (an ``emptyDir`` with ``medium: Memory``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kiteway.files import write_atomic


@dataclass(frozen=True, slots=True)
class LastGood:
    """
    The content of the file.

    Attributes:
        gke: whether the cluster is GKE.
        objects: every object, as JSON.
        before: for Ingresses with errors, the objects from before the error, as JSON.
    """

    gke: bool
    objects: tuple[bytes, ...]
    before: tuple[bytes, ...] = ()


class _File(msgspec.Struct):
    gke: bool
    objects: list[msgspec.Raw]
    before: list[msgspec.Raw]


def write(file: Path, state: LastGood) -> None:
    """Replace the file. Raises ``OSError``."""
    content = _File(state.gke, _raws(state.objects), _raws(state.before))
    write_atomic(file, msgspec.json.encode(content), mode=0o600)


def read(file: Path) -> LastGood | None:
    """Return what the file holds; None when there is none, or it cannot be read."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=_File)
    except (OSError, msgspec.DecodeError):
        return None
    return LastGood(found.gke, tuple(map(bytes, found.objects)), tuple(map(bytes, found.before)))


def _raws(objects: Iterable[bytes]) -> list[msgspec.Raw]:
    return [msgspec.Raw(object_) for object_ in objects]

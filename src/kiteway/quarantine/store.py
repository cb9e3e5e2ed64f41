"""
The state that survives a restart: the forms that Envoy has accepted, and the units whose newest form is not in force.

The file has private keys (in the last accepted forms of these units), so its mode is 0600.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from kiteway.diagnostics import ObjectRef
from kiteway.files import write_atomic
from kiteway.ownership import read_own

FILE_NAME: Final = "quarantine.json"
_MOST_BYTES: Final = 64 << 20
"""A hundred bytes for each of 10,000 Ingresses, and the whole form of those to blame."""


@dataclass(frozen=True, slots=True)
class StoredCulprit:
    """
    An Ingress that is to blame.

    Attributes:
        ref: the Ingress.
        form: the fingerprint of the form that Envoy rejects.
        message: Envoy's sentence.
        since: when it was found.
        accepted: its last accepted form (see `forms.encode`); None when there is none.
    """

    ref: ObjectRef
    form: str
    message: str
    since: dt.datetime
    accepted: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class StoredForm:
    """The last accepted form (see `forms.encode`) of an Ingress whose newest form is on trial or held back."""

    ref: ObjectRef
    accepted: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stored:
    """
    The content of the file.

    Attributes:
        version: of the Kiteway that wrote it.
        accepted: each Ingress with the fingerprint of its form that was accepted last.
        culprits: the units to blame.
        undecided: the units of which it is not known yet whether they are to blame.
    """

    version: str = ""
    accepted: tuple[tuple[ObjectRef, str], ...] = ()
    culprits: tuple[StoredCulprit, ...] = ()
    undecided: tuple[StoredForm, ...] = ()


def read(file: Path) -> Stored:
    """Return what the file holds; nothing when there is none, or it cannot be read: then all is tried anew."""
    try:
        return msgspec.json.decode(read_own(file, _MOST_BYTES), type=Stored)
    except (OSError, ValueError, RecursionError):
        return Stored()


def write(file: Path, stored: Stored) -> None:
    """Replace the file. Raises ``OSError``."""
    write_atomic(file, msgspec.json.encode(stored), mode=0o600)

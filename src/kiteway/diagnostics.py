"""Problems in a user's manifests, as values."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from kiteway.memo import Memo


class Severity(enum.StrEnum):
    """Error: GKE refuses the object. Warning: GKE accepts it, but it has a problem. Note: information only."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file. Lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class ObjectRef(NamedTuple):
    """The identity of a Kubernetes object."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """
    One problem, with its place and what to do.

    Attributes:
        severity: see `Severity`.
        reason: a stable CamelCase code; GKE's own word where it has one.
        message: what is wrong, one sentence, no trailing newline.
        fix: what to do about it, one sentence; empty when there is nothing to do.
        object: the object, if the file could be parsed so far.
        position: where in a file, if it came from one.
        path: the field, e.g. ``spec.rules[0].host``.
        missing: the object that the field names and that was not found; None if that is not the problem.
    """

    severity: Severity
    reason: str
    message: str
    fix: str = ""
    object: ObjectRef | None = None
    position: Position | None = None
    path: str = ""
    missing: ObjectRef | None = None

    def __str__(self) -> str:
        where = f"{self.position}: " if self.position else ""
        about = f"{self.object}: " if self.object else ""
        field = f"{self.path}: " if self.path else ""
        fix = f" {self.fix}" if self.fix else ""
        return f"{where}{self.severity} {self.reason}: {about}{field}{self.message}{fix}"

    @property
    def docs(self) -> str:
        """The page section that explains the reason."""
        return f"docs/reference/diagnostics.md#{self.reason.lower()}"


def ordered(diagnostics: Iterable[Diagnostic], memo: Memo | None = None) -> tuple[Diagnostic, ...]:
    """Return the diagnostics without repetitions, in an order that depends on nothing but their content."""
    found = tuple(diagnostics)
    keys = (memo or Memo()).each("order", _content, found)
    by_content = dict(zip(keys, found, strict=True))
    return tuple([by_content[key] for key in sorted(by_content)])


def _content(d: Diagnostic) -> tuple[object, ...]:
    """Return all that a diagnostic says, in the order by which it is sorted."""
    position = (d.position.file, d.position.line, d.position.column) if d.position else ("", 0, 0)
    about = (d.object.namespace, d.object.kind, d.object.name) if d.object else ("", "", "")
    return (_RANK[d.severity], position, about, d.path, d.reason, d.message, d.fix)

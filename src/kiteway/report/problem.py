"""Problems: diagnostics as JSON shows them."""

from __future__ import annotations

import msgspec

from kiteway.diagnostics import Diagnostic, ObjectRef, Position, Severity


class ObjectName(msgspec.Struct, frozen=True):
    """
    The name of a Kubernetes object.

    Attributes:
        kind: its kind.
        namespace: its namespace; empty for an object of the cluster.
        name: its name.
    """

    kind: str
    namespace: str
    name: str

    @classmethod
    def of_ref(cls, ref: ObjectRef) -> ObjectName:
        """Return the name of ``ref``."""
        return cls(ref.kind, ref.namespace, ref.name)

    @property
    def ref(self) -> ObjectRef:
        """The same as an `ObjectRef`."""
        return ObjectRef(self.kind, self.namespace, self.name)


class Problem(msgspec.Struct, frozen=True, rename="camel"):
    """
    A diagnostic: what is wrong in what a user wrote.

    Attributes:
        severity: how bad it is.
        reason: a stable code; `kiteway explain CODE` explains it.
        object: the object it is about; null when no object could be read.
        position: where it is in a file, lines and columns counted from 1; null for an object of a cluster.
        path: the field, for example `spec.rules[0].host`; can be empty.
        message: what is wrong, in one sentence.
        fix: what to do; empty when there is nothing to do.
        docs: the section of the documentation about the reason.
    """

    severity: Severity
    reason: str
    message: str
    object: ObjectName | None = None
    position: Position | None = None
    path: str = ""
    fix: str = ""
    docs: str = ""

    @classmethod
    def of_diagnostic(cls, diagnostic: Diagnostic) -> Problem:
        """Return a diagnostic as a problem."""
        about = diagnostic.object
        return cls(
            severity=diagnostic.severity,
            reason=diagnostic.reason,
            message=diagnostic.message,
            object=ObjectName.of_ref(about) if about else None,
            position=diagnostic.position,
            path=diagnostic.path,
            fix=diagnostic.fix,
            docs=diagnostic.docs,
        )

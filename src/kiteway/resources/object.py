"""The fields and functions common to all kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from kiteway.diagnostics import Diagnostic, ObjectRef, Position, Severity
from kiteway.resources import reasons
from kiteway.resources.places import Path, Source, dotted
from kiteway.resources.schema import Rule, Violation, described

# The API server's TotalAnnotationSizeLimitB.
_MOST_ANNOTATION_BYTES = 256 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectMeta:
    """Standard metadata of an object."""

    name: str = described("The name, unique among objects of the kind in the namespace.")
    namespace: str = described("The namespace; empty for kinds that have none.", "", absent="default")
    uid: str = described("The identity of this object in the API server.", "")
    labels: Mapping[str, str] = described("Labels.", {})
    annotations: Mapping[str, str] = described("Annotations. Values are strings: quote true and numbers.", {})
    creation_timestamp: datetime | None = described(
        "When the API server created it; the oldest of two objects wins a host.", None, absent="unknown"
    )
    deletion_timestamp: datetime | None = described("When it will be deleted; set by a request to delete it.", None)
    generation: int = described("Counts changes of the specification.", 0)
    resource_version: str = described("The version; it changes with every write.", "")

    # The API server writes here, and its newer versions may write more.
    UNKNOWN_FIELD: ClassVar[Severity] = Severity.WARNING
    SILENT: ClassVar[frozenset[str]] = frozenset(
        {
            "clusterName",
            "deletionGracePeriodSeconds",
            "finalizers",
            "generateName",
            "initializers",
            "managedFields",
            "ownerReferences",
            "selfLink",
        }
    )

    def violations(self) -> Iterator[Violation]:
        """Yield annotations that are too large for the API server."""
        if (size := sum(len(key) + len(value) for key, value in self.annotations.items())) > _MOST_ANNOTATION_BYTES:
            message = f"must have at most {_MOST_ANNOTATION_BYTES} bytes in all, not {size}."
            yield Violation(message, reason=reasons.FIELD_VALUE_TOO_LONG, path=("annotations",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """
    A Kubernetes object, decoded.

    Two objects are equal if their content is, wherever they were written.

    Attributes:
        api_version: as written: ``networking.k8s.io/v1``.
        source: where it was written; None if it came from the Kubernetes API.
        ref: the identity of the object.
    """

    KIND: ClassVar[str]
    API_VERSIONS: ClassVar[tuple[str, ...]]
    NAMESPACED: ClassVar[bool] = True
    UNKNOWN_FIELD: ClassVar[Severity]
    NAME_RULE: ClassVar[Rule]
    SILENT: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})

    metadata: ObjectMeta = described("Standard metadata.")
    api_version: str
    source: Source | None = field(default=None, compare=False, repr=False)
    # Every round asks every object for it, several times.
    ref: ObjectRef = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Compute the identity once."""
        object.__setattr__(self, "ref", ObjectRef(self.KIND, self.metadata.namespace, self.metadata.name))

    @property
    def kind(self) -> str:
        """The kind, such as ``Ingress``."""
        return self.KIND

    def at(self, *path: str | int) -> Position | None:
        """
        Return where a field was written: ``ingress.at("spec", "rules", 0, "host")``.

        For a field that was not written, return the position of its nearest parent that was. An object from the API has no
        positions: return None.
        """
        return self.source.at(*path) if self.source else None

    def diagnostic(self, severity: Severity, reason: str, message: str, fix: str = "", path: Path = ()) -> Diagnostic:
        """Return a diagnostic about a field of this object, or about all of it."""
        return Diagnostic(severity, reason, message, fix, self.ref, self.at(*path), dotted(path))

    def violations(self) -> Iterator[Violation]:
        """Yield the rules that this object breaks, beyond those of its single fields."""
        yield from ()

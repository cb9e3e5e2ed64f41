"""From a file, or from an object of the Kubernetes API, to typed objects and diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.resources import reasons
from kiteway.resources.compose import Document, Fault
from kiteway.resources.decode import Mistake, Report, structure
from kiteway.resources.foreign_documents import foreign_document
from kiteway.resources.foreign_kinds import foreign_kind
from kiteway.resources.identify import Unrelated, identify
from kiteway.resources.kinds.endpoints import Endpoints
from kiteway.resources.limits import DEFAULT, Limits
from kiteway.resources.lists import Entry, flattened
from kiteway.resources.object import Object
from kiteway.resources.places import Path, Source, dotted, position, quoted, spot
from kiteway.resources.rules import dns_label, fix_of
from kiteway.resources.schema import Violation
from kiteway.resources.yaml import parse

DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    The content of a file, or of an object of the API.

    Attributes:
        objects: those without an error, in the order of the file.
        diagnostics: everything that is wrong, and notes.
        refused: the objects that were left out because of errors, as far as they have a kind and a name.
        ignored: the kinds of which Kiteway reads nothing, in the order of the file.
    """

    objects: tuple[Object, ...]
    diagnostics: tuple[Diagnostic, ...]
    refused: tuple[ObjectRef, ...] = ()
    ignored: tuple[str, ...] = ()


def load_documents(text: bytes, file: str, limits: Limits = DEFAULT, *, namespace: str = DEFAULT_NAMESPACE) -> Loaded:
    """
    Read a file of YAML or JSON documents.

    Args:
        text: the file.
        file: its name, for diagnostics.
        limits: see `Limits`.
        namespace: that of objects which name none.
    """
    loader = _Loader(namespace, limits.diagnostics)
    for found in parse(text, limits):
        if isinstance(found, Fault):
            loader.fault(found, file)
        else:
            loader.document(found, file)
    return loader.loaded()


def load_object(raw: Mapping[str, Any], source: Source | None = None, *, namespace: str = DEFAULT_NAMESPACE) -> Loaded:
    """
    Read one object, or a list of them, from the Kubernetes API.

    Args:
        raw: the object as JSON values.
        source: where it was written, if it came from a file.
        namespace: that of an object which names none.
    """
    loader = _Loader(namespace, DEFAULT.diagnostics)
    loader.objects_in(dict(raw), source, ())
    return loader.loaded()


@dataclass(slots=True)
class _Loader:
    namespace: str
    most_diagnostics: int
    objects: list[Object] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    refused: list[ObjectRef] = field(default_factory=list)
    left_out: int = 0
    unrelated: dict[Unrelated, tuple[int, Source | None]] = field(default_factory=dict)

    def loaded(self) -> Loaded:
        for what, (count, source) in self.unrelated.items():
            objects = "object" if count == 1 else "objects"
            kind = f"{quoted(what.kind)} ({quoted(what.api_version)})"
            at = source.at() if source else None
            found = foreign_kind(what.api_version, what.kind)
            if found is None:
                message = f"{count} {objects} of kind {kind} ignored: no part of load balancing."
                self._add(Diagnostic(Severity.NOTE, reasons.KIND_IGNORED, message, position=at))
            else:
                message = f"{count} {objects} of kind {kind} ignored: {found.what}; nothing of it is served."
                self._add(Diagnostic(Severity.WARNING, reasons.KIND_NOT_SERVED, message, found.fix, position=at))
        if self.left_out:
            message = f"{self.left_out} more diagnostics are not listed."
            last = Diagnostic(Severity.NOTE, reasons.TOO_MANY_DIAGNOSTICS, message, "Correct those listed first.")
            self.diagnostics.append(last)
        ignored = tuple(quoted(what.kind) for what in self.unrelated)
        return Loaded(tuple(self.objects), tuple(self.diagnostics), tuple(self.refused), ignored)

    def _add(self, diagnostic: Diagnostic) -> None:
        if len(self.diagnostics) < self.most_diagnostics:
            self.diagnostics.append(diagnostic)
        else:
            self.left_out += 1

    def fault(self, fault: Fault, file: str) -> None:
        at = position(file, fault.at or spot(1, 1))
        path = dotted(fault.path)
        self._add(Diagnostic(Severity.ERROR, fault.reason, fault.message, fault.fix, position=at, path=path))

    def document(self, document: Document, file: str) -> None:
        for fault in document.faults:
            self.fault(fault, file)
        if document.value is None:
            return
        self.objects_in(document.value, Source(file, document.place), tuple(fault.path for fault in document.faults))

    def objects_in(self, value: Any, source: Source | None, spoilt: tuple[Path, ...]) -> None:
        """Read an object, or those of a list; one with a spoilt field is checked but refused."""
        for entry in flattened(Entry(value, source, spoilt)):
            self._entry(entry)

    def _entry(self, entry: Entry) -> None:
        value, source = entry.value, entry.source
        if not isinstance(value, dict):
            at = source.at() if source else None
            message = "A Kubernetes object is a mapping with apiVersion, kind and metadata."
            self._add(Diagnostic(Severity.ERROR, reasons.NOT_AN_OBJECT, message, position=at))
            return
        if not value.get("kind") and (instead := foreign_document(value)) is not None:
            at = source.at() if source else None
            message = f"The document is no Kubernetes object: it looks like {instead.what}."
            self._add(Diagnostic(Severity.ERROR, reasons.NOT_AN_OBJECT, message, instead.fix, position=at))
            return
        report = self._new_report()
        for name in ("apiVersion", "kind"):
            if not value.get(name):
                report.add(Violation("is required.", f"Add {name}.", reasons.FIELD_VALUE_REQUIRED), (name,))
            elif not isinstance(value[name], str):
                report.wrong_type("a string", value[name], (name,))
        if report.errors:
            self._refuse(entry, report, None)
            return
        if value["kind"] == "List":
            # One with a list of items was opened before.
            report.wrong_type("a list", value.get("items"), ("items",))
            self._refuse(entry, report, None)
            return
        cls = identify(value["apiVersion"], value["kind"])
        if isinstance(cls, Unrelated):
            count, first = self.unrelated.get(cls, (0, source))
            self.unrelated[cls] = (count + 1, first)
        elif isinstance(cls, Violation):
            ref = _ref(value, self.namespace)
            at = source.at(*cls.path) if source else None
            self._refuse(entry, report, ref)
            self._add(Diagnostic(cls.severity, cls.reason, cls.message, cls.fix, ref, at, dotted(cls.path)))
        else:
            self._object(cls, entry)

    def _object(self, cls: type[Object], entry: Entry) -> None:
        report = self._new_report(cls.UNKNOWN_FIELD)
        value = self._with_namespace(cls, entry.value, report)
        source = entry.source.packed() if entry.source else None
        decoded = structure(cls)(value, (), report, api_version=value["apiVersion"], source=source)
        if isinstance(decoded, Object) and not report.errors and not entry.spoilt:
            # Nothing here asks for Endpoints themselves, as nothing in a cluster does any more.
            self.objects.extend(decoded.slices() if isinstance(decoded, Endpoints) else (decoded,))
            self._report(entry.source, report, decoded.ref)
        else:
            self._refuse(entry, report, _ref(value, ""))

    def _with_namespace(self, cls: type[Object], value: dict[str, Any], report: Report) -> dict[str, Any]:
        """Check the name and the namespace by the rules of the kind, and add the namespace if there is none."""
        metadata = value.get("metadata")
        if not isinstance(metadata, dict):
            return value
        name, namespace = metadata.get("name"), metadata.get("namespace")
        if isinstance(name, str) and (broken := cls.NAME_RULE(name)):
            report.add(broken, ("metadata", "name"))
        if not cls.NAMESPACED:
            if namespace:
                violation = Violation(
                    f"must not be set: {cls.KIND} has no namespace.", "Remove it.", reasons.FIELD_VALUE_FORBIDDEN
                )
                report.add(violation, ("metadata", "namespace"))
        elif not namespace:
            return {**value, "metadata": {**metadata, "namespace": self.namespace}}
        elif isinstance(namespace, str) and (broken := dns_label(namespace)):
            report.add(broken, ("metadata", "namespace"))
        return value

    def _refuse(self, entry: Entry, report: Report, ref: ObjectRef | None) -> None:
        if ref:
            self.refused.append(ref)
        self._report(entry.source, report, ref)

    def _report(self, source: Source | None, report: Report, ref: ObjectRef | None) -> None:
        for mistake in report.mistakes:
            self._add(_diagnostic(mistake, source, ref))
        self.left_out += report.found - len(report.mistakes)

    def _new_report(self, unknown: Severity = Severity.ERROR) -> Report:
        return Report(unknown, self.most_diagnostics - len(self.diagnostics))


def _ref(value: dict[str, Any], namespace: str) -> ObjectRef | None:
    """Return the identity of an object that could not be decoded, if it has one."""
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        return None
    name, own = metadata.get("name"), metadata.get("namespace")
    if not isinstance(name, str):
        return None
    return ObjectRef(
        _printable(value["kind"]), _printable(own) if isinstance(own, str) and own else namespace, _printable(name)
    )


def _printable(name: str) -> str:
    """Return a name unchanged, unless it may be unsafe where it is shown."""
    return name if len(name) <= 253 and name.isascii() and name.isprintable() else quoted(name)


def _diagnostic(mistake: Mistake, source: Source | None, ref: ObjectRef | None) -> Diagnostic:
    violation, path = mistake.violation, mistake.path
    at = None
    if source:
        at = source.at_key(*path) if mistake.on_key else source.at(*path)
    message = f"{_subject(path)} {violation.message}"
    return Diagnostic(violation.severity, violation.reason, message, fix_of(violation), ref, at, dotted(path))


def _subject(path: Path) -> str:
    """Return the last name of a path, with the index that follows it: ``domains[0]``."""
    if not path:
        return "the object"
    for first in range(len(path) - 1, -1, -1):
        subject = dotted(path[first:])
        if not subject.startswith("["):
            return subject
    return dotted(path)

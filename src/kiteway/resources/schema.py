"""The schema of a field: its meaning, its default, its rules. The reference documentation is made from this."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from kiteway.diagnostics import Severity
from kiteway.resources import reasons
from kiteway.resources.places import Path


@dataclass(frozen=True, slots=True)
class Violation:
    """
    A rule that a value breaks.

    Attributes:
        message: what is wrong, as a predicate of the field: ``must be between 1 and 65535, not 0``.
        fix: what to do about it; empty when the message says it.
        reason: see `kiteway.resources.reasons`.
        path: the field, relative to the value that the rule checked.
        severity: an error refuses the object.
        word: the user's word that is not in `known`, but may be a misspelling of one.
        known: the allowed words.
    """

    message: str
    fix: str = ""
    reason: str = reasons.FIELD_VALUE_INVALID
    path: Path = ()
    severity: Severity = Severity.ERROR
    word: str = ""
    known: Collection[str] = ()


Rule = Callable[[Any], Violation | None]

Support = Literal["full", "diagnostic", "ignored"]
"""Whether a field has its effect, gets a diagnostic because only Google can do it, or is without effect here."""


class Origin(enum.StrEnum):
    """The documentation that defines a field."""

    KUBERNETES = "Kubernetes API reference"
    BACKEND_CONFIG = "ingress-gce pkg/apis/backendconfig/v1/types.go"
    FRONTEND_CONFIG = "ingress-gce pkg/apis/frontendconfig/v1beta1/types.go"
    MANAGED_CERTIFICATE = "gke-managed-certs pkg/apis/networking.gke.io/v1/types.go"
    MILVUS_POLICY = "Kiteway"


class _Required(enum.Enum):
    TOKEN = enum.auto()


REQUIRED: Final = _Required.TOKEN

_KEY = "kiteway.schema"


@dataclass(frozen=True, slots=True)
class FieldSchema:
    """
    The machine-readable part of a field.

    Attributes:
        name: the field's name in YAML.
        doc: its meaning, one sentence.
        required: whether an object without it is refused.
        absent: what happens when it is not set, in words.
        origin: where it is defined.
        support: what Kiteway does with it.
        rules: checked in order on a value of the right type; the first that is broken is reported.
        lenient: written by a controller: what cannot be read is taken as absent, silently.
    """

    name: str
    doc: str
    required: bool
    absent: str
    origin: Origin
    support: Support
    rules: tuple[Rule, ...] = ()
    lenient: bool = False


def described(
    doc: str,
    default: object = REQUIRED,
    *rules: Rule,
    name: str = "",
    absent: str = "",
    origin: Origin = Origin.KUBERNETES,
    support: Support = "full",
    lenient: bool = False,
) -> Any:
    """
    Declare a field of a kind.

    Args:
        doc: see `FieldSchema`.
        default: the attribute's value when the field is absent or null; `REQUIRED` if it must be there. An empty
            mapping is fine: every object gets its own.
        rules: see `FieldSchema`.
        name: the field's name in YAML where it is not the attribute's in camelCase.
        absent: the default in words, where the attribute's value alone does not say it.
        origin: see `FieldSchema`.
        support: see `FieldSchema`.
        lenient: see `FieldSchema`.
    """
    required = default is REQUIRED
    words = absent or ("" if required or default is None else str(default) if default != () else "empty")
    schema = FieldSchema(name, doc, required, words, origin, support, rules, lenient)
    metadata = {_KEY: schema}
    if required:
        return dataclasses.field(metadata=metadata)
    if isinstance(default, Mapping):
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def fields(cls: type) -> dict[str, FieldSchema]:
    """Return the declared fields of a dataclass by attribute name, in order."""
    found = {}
    for field in dataclasses.fields(cls):
        if schema := field.metadata.get(_KEY):
            found[field.name] = dataclasses.replace(schema, name=schema.name or camel_case(field.name))
    return found


def camel_case(name: str) -> str:
    """Return a Python name as Kubernetes writes it: ``check_interval_sec`` is ``checkIntervalSec``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)

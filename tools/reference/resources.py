"""docs/reference/resources.md: each kind, each field, from `kiteway.resources.schema`."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Iterator, Mapping
from datetime import datetime

from kiteway.diagnostics import Severity
from kiteway.resources import KINDS, ObjectMeta, SecretBytes
from kiteway.resources.schema import fields
from tools.reference.markdown import GENERATED, code, plain, table

_INTRODUCTION = """
# Resources

The fields of Kubernetes objects that Kiteway reads, in files (`kiteway up -f`, `kiteway plan -f`) and from the API server.
Objects of other kinds are skipped with a note. An unknown field is an error in GKE's and Kiteway's own kinds, and a warning
in Kubernetes' own kinds, as in the API server.

**Support**: *full* means that the field has its effect. *diagnostic* means that only Google's infrastructure supports the
field, and that a diagnostic says so. *none* means that the field has no effect here.

[annotations.md](annotations.md) lists the annotations that Kiteway uses, and [diagnostics.md](diagnostics.md) the messages
about mistakes.
"""

_SUPPORT = {"full": "full", "diagnostic": "diagnostic", "ignored": "none"}
_HEAD = ("Field", "Type", "Meaning", "When absent", "Defined in", "Support")
_NAMES = {str: "text", int: "integer", float: "number", bool: "boolean", datetime: "time", SecretBytes: "base64"}


def render() -> str:
    """Return the page."""
    parts = [GENERATED, _INTRODUCTION, "\n## Metadata of every kind\n\n", table(_HEAD, _rows(ObjectMeta, "metadata"))]
    for kind in KINDS.values():
        unknown = "an error" if kind.UNKNOWN_FIELD is Severity.ERROR else "a warning"
        scope = "" if kind.NAMESPACED else " It has no namespace."
        parts += [
            f"\n## {kind.KIND}\n\n",
            f"`apiVersion`: {', '.join(code(version) for version in kind.API_VERSIONS)}. ",
            f"A field that it does not have is {unknown}.{scope}\n\n",
        ]
        rows = [row for row in _rows(kind, "") if not row[0].startswith("`metadata")]
        parts.append(table(_HEAD, rows))
    return "".join(parts)


def _rows(cls: type, prefix: str) -> Iterator[tuple[str, ...]]:
    hints = typing.get_type_hints(cls)
    for attribute, schema in fields(cls).items():
        path = f"{prefix}.{schema.name}" if prefix else schema.name
        name, inner, many = _type(hints[attribute])
        yield (
            code(path),
            name,
            plain(schema.doc),
            "*required*" if schema.required else plain("empty" if schema.absent == "{}" else schema.absent),
            str(schema.origin),
            _SUPPORT[schema.support],
        )
        if inner is not None:
            yield from _rows(inner, f"{path}[]" if many else path)


def _type(hint: object) -> tuple[str, type | None, bool]:
    """Return a type in words, the dataclass whose fields follow, and whether there are many of it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {types.UnionType, typing.Union}:
        named = [_type(argument) for argument in arguments if argument is not type(None)]
        inner = next((one for _, one, _ in named if one is not None), None)
        return " or ".join(name for name, _, _ in named), inner, any(many for _, _, many in named)
    if origin is tuple:
        name, inner, _ = _type(arguments[0])
        return f"list of {name}" if inner is None else "list", inner, True
    if origin is Mapping:
        return f"map of {_type(arguments[1])[0]}", None, False
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return " | ".join(code(str(member.value)) for member in hint), None, False
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return "object", hint, False
    return (_NAMES.get(hint, hint.__name__) if isinstance(hint, type) else "any"), None, False

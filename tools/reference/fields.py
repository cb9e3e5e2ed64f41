"""The fields of a JSON document, from the types and docstrings of its structs."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import inspect
import json
import re
import types
import typing
from collections.abc import Iterator

import msgspec

from kiteway.diagnostics import Position
from tools.reference.markdown import code, plain, table

_NAMES = {str: "text", int: "integer", float: "number", bool: "boolean", dt.datetime: "time"}
_POSITION = {"file": "the file.", "line": "the line.", "column": "the column."}


def fields_table(document: type) -> str:
    """Return the table of a document's fields."""
    return table(("Field", "Type", "Meaning"), _rows(document, ""))


def json_schema(document: type) -> str:
    """Return the JSON schema of a document."""
    return json.dumps(msgspec.json.schema(document), indent=2) + "\n"


def _meanings(struct: type) -> dict[str, str]:
    """Return what the docstrings of ``struct`` and its base classes say of each attribute."""
    found: dict[str, str] = {}
    for cls in reversed(struct.__mro__):
        _, _, attributes = (inspect.cleandoc(cls.__doc__ or "")).partition("Attributes:\n")
        for name, text in re.findall(r"^    (\w+): ((?:.|\n(?!    \w+: |\n|\S))*)", attributes, re.MULTILINE):
            found[name] = " ".join(text.split())
    return found


def _rows(struct: type, prefix: str) -> Iterator[tuple[str, str, str]]:
    known = _POSITION if struct is Position else _meanings(struct)
    hints = typing.get_type_hints(struct)
    for attribute, name in _fields(struct):
        kind, inner, suffix = _type(hints[attribute])
        path = f"{prefix}{name}{suffix}"
        yield code(path), kind, plain(known[attribute])
        if inner is not None:
            yield from _rows(inner, f"{path}.")


def _fields(struct: type) -> list[tuple[str, str]]:
    """Return the fields of a struct or a dataclass: the name in Python and in JSON."""
    if dataclasses.is_dataclass(struct):
        return [(field.name, field.name) for field in dataclasses.fields(struct)]
    return [(field.name, field.encode_name) for field in msgspec.structs.fields(struct)]


def _type(hint: object) -> tuple[str, type | None, str]:
    """Return a type in words, the struct whose fields follow, and what is written after the field's name."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {types.UnionType, typing.Union}:
        name, inner, suffix = _type(next(argument for argument in arguments if argument is not type(None)))
        return f"{name} or null", inner, suffix
    if origin in {tuple, list}:
        name, inner, _ = _type(arguments[0])
        return f"list of {name}", inner, "[]"
    if origin is dict:
        name, inner, _ = _type(arguments[1])
        return f"map of text to {name}", inner, "{}"
    assert isinstance(hint, type)  # noqa: S101 - there are no other types in a document
    if issubclass(hint, enum.StrEnum):
        return "one of " + ", ".join(code(str(value)) or '`""`' for value in hint), None, ""
    return (_NAMES[hint], None, "") if hint in _NAMES else ("object", hint, "")

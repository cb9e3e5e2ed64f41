"""
Decodes plain JSON values into the frozen dataclasses of the kinds.

One decoder is compiled per dataclass from its annotations and its `FieldSchema`s; it works the same on YAML's values
and on the Kubernetes API's. All mistakes of an object are collected; one with an error is not built.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import enum
import functools
import operator
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kiteway.diagnostics import Severity
from kiteway.resources import reasons
from kiteway.resources.places import Path, dotted, quoted
from kiteway.resources.rules import not_one_of
from kiteway.resources.schema import FieldSchema, Violation, fields
from kiteway.resources.secret_bytes import SecretBytes
from kiteway.resources.wrong_type import type_fix


class _Invalid(enum.Enum):
    TOKEN = enum.auto()


INVALID = _Invalid.TOKEN
"""What a decoder returns when it has reported why there is no value."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A `Violation` at its full path; `on_key` if it is about the field's name, not its value."""

    violation: Violation
    path: Path
    on_key: bool = False


@dataclass(slots=True)
class Report:
    """
    Collects the mistakes of one object.

    Attributes:
        unknown: the severity of an unknown field, if its dataclass does not say.
        room: the most mistakes that are stored; further ones are only counted.
        mistakes: the first that were found.
        found: how many there are.
        errors: how many of them are errors.
    """

    unknown: Severity = Severity.ERROR
    room: int = 100
    mistakes: list[Mistake] = field(default_factory=list)
    found: int = 0
    errors: int = 0

    def add(self, violation: Violation, path: Path, *, on_key: bool = False) -> _Invalid:
        """Add a violation found in the value at `path`."""
        self.found += 1
        if self.found <= self.room:
            self.mistakes.append(Mistake(violation, (*path, *violation.path), on_key))
        if violation.severity is Severity.ERROR:
            self.errors += 1
        return INVALID

    def wrong_type(self, expected: str, value: object, path: Path, *, private: bool = False) -> _Invalid:
        """Say what type a value should have and what it is."""
        message = f"must be {expected}, not {_named(value, private=private)}."
        return self.add(
            Violation(message, type_fix(expected, value, path, private=private), reasons.FIELD_VALUE_TYPE_INVALID), path
        )


Decoder = Callable[[Any, Path, Report], Any]


_NAMES: dict[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "a mapping",
}


def _named(value: object, *, private: bool) -> str:
    if not private:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, int | float):
            return f"the number {_shown(value)}"
        if isinstance(value, str):
            return f"the string {quoted(value)}"
    return _NAMES.get(type(value), "a value that JSON has no type for")


def _shown(number: float) -> str:
    # Python refuses to print integers of more than 4,300 digits.
    return f"{number}" if isinstance(number, float) or number.bit_length() < 128 else "that is far too large"


# JSON can write them alone ("\\ud800"), UTF-8 cannot.
_SURROGATE = re.compile("[\ud800-\udfff]")


def _string(value: Any, path: Path, report: Report) -> Any:
    if type(value) is not str:
        return report.wrong_type("a string", value, path)
    if "\0" in value:
        return report.add(Violation("must not contain a NUL.", reason=reasons.CONTROL_CHARACTER), path)
    if not value.isascii() and _SURROGATE.search(value):
        violation = Violation("must be text; it has half of a surrogate pair.", reason=reasons.INVALID_ENCODING)
        return report.add(violation, path)
    return value


def _integer(value: Any, path: Path, report: Report) -> Any:
    if type(value) is int and -(1 << 63) <= value < 1 << 63:
        return value
    if type(value) is float and value.is_integer() and abs(value) < 1 << 53:
        return int(value)
    if type(value) is int:
        return report.add(Violation("must fit in 64 bits."), path)
    return report.wrong_type("an integer", value, path)


def _number(value: Any, path: Path, report: Report) -> Any:
    if type(value) is float or type(value) is int:
        try:
            number = float(value)
        except OverflowError:
            number = float("inf")
        # Not a number and the infinities have no JSON.
        return number if abs(number) < float("inf") else report.add(Violation("must be a finite number."), path)
    return report.wrong_type("a number", value, path)


def _boolean(value: Any, path: Path, report: Report) -> Any:
    return value if type(value) is bool else report.wrong_type("true or false", value, path)


def _integer_or_string(value: Any, path: Path, report: Report) -> Any:
    if isinstance(value, str):
        return _string(value, path, report)
    if type(value) is int or type(value) is float:
        return _integer(value, path, report)
    return report.wrong_type("an integer or a string", value, path)


def _timestamp(value: Any, path: Path, report: Report) -> Any:
    if not isinstance(value, str):
        return report.wrong_type("a string", value, path)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        return report.add(
            Violation(f"must be an RFC 3339 time such as 2024-05-01T12:00:00Z, not {quoted(value)}."), path
        )
    return moment


def base64_bytes(value: Any, path: Path, report: Report) -> Any:
    """Decode an entry of a Secret's ``data``. The value never gets into a message."""
    if type(value) is not str:
        return report.wrong_type("a string", value, path, private=True)
    try:
        # Kubernetes skips line ends, as they come from base64 without -w0.
        return SecretBytes(base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True))
    except (binascii.Error, ValueError):
        if value.lstrip().startswith("-----BEGIN "):
            fix = "Move it to stringData, which takes text, or encode the file (base64 -w0 FILE)."
            return report.add(Violation("must be base64; it is the text of a PEM file.", fix), path)
        fix = "Encode it (base64 -w0), or put plain text under stringData."
        return report.add(Violation("must be base64.", fix), path)


def text_bytes(value: Any, path: Path, report: Report) -> Any:
    """Decode an entry of a Secret's ``stringData``. The value never gets into a message."""
    if type(value) is not str:
        return report.wrong_type("a string", value, path, private=True)
    return SecretBytes(value.encode(errors="surrogatepass"))


def _words(kind: type[enum.StrEnum]) -> Decoder:
    members = {member.value: member for member in kind}
    advice = getattr(kind, "ADVICE", "")

    def decode(value: Any, path: Path, report: Report) -> Any:
        if type(value) is not str:
            return report.wrong_type("a string", value, path)
        member = members.get(value)
        return report.add(not_one_of(value, tuple(members), advice), path) if member is None else member

    return decode


def _list(entry: Decoder, empty: Any) -> Decoder:
    def decode(value: Any, path: Path, report: Report) -> Any:
        if not isinstance(value, list):
            return report.wrong_type("a list", value, path)
        before = report.errors
        entries = [entry(empty if item is None else item, (*path, index), report) for index, item in enumerate(value)]
        return INVALID if report.errors != before else tuple(entries)

    return decode


def _mapping(entry: Decoder, empty: Any) -> Decoder:
    def decode(value: Any, path: Path, report: Report) -> Any:
        if not isinstance(value, dict):
            return report.wrong_type("a mapping", value, path)
        before = report.errors
        entries = {key: entry(empty if item is None else item, (*path, key), report) for key, item in value.items()}
        return INVALID if report.errors != before else entries

    return decode


_SIMPLE: dict[Any, Decoder] = {
    str: _string,
    int: _integer,
    float: _number,
    bool: _boolean,
    datetime: _timestamp,
    int | str: _integer_or_string,
}


def _decoder(annotation: Any) -> Decoder:
    """Return the decoder of a type."""
    if annotation in _SIMPLE:
        return _SIMPLE[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in {types.UnionType, typing.Union}:
        # Null is handled as absence before a decoder is asked.
        return _decoder(functools.reduce(operator.or_, (a for a in arguments if a is not type(None))))
    if origin is typing.Annotated:
        return typing.cast("Decoder", arguments[1])
    if origin in {tuple, Mapping}:
        entry = arguments[0] if origin is tuple else arguments[1]
        return (_list if origin is tuple else _mapping)(_decoder(entry), _empty(entry))
    return _words(annotation) if issubclass(annotation, enum.StrEnum) else structure(annotation)


def _empty(annotation: Any) -> Any:
    """Return what null means as an entry: Go's zero value, where Kubernetes decodes into a string or a struct."""
    if annotation is str or typing.get_origin(annotation) is typing.Annotated:
        return ""
    return {} if dataclasses.is_dataclass(annotation) else None


@dataclass(frozen=True, slots=True)
class _Slot:
    attribute: str
    schema: FieldSchema
    decode: Decoder

    def __call__(self, value: Any, path: Path, report: Report) -> Any:
        if self.schema.lenient:
            value = self.decode(value, path, private := Report(Severity.NOTE))
            return INVALID if private.errors else value
        value = self.decode(value, path, report)
        if value is not INVALID:
            for rule in self.schema.rules:
                if broken := rule(value):
                    return report.add(broken, path)
        return value


@dataclass(frozen=True, slots=True)
class Structure:
    """
    Decodes mappings into one dataclass.

    A dataclass may have ``SILENT``, the names of fields that the kind has and Kiteway ignores without a diagnostic;
    ``RENAMED``, what to write instead of a field of another version; ``UNKNOWN_FIELD``, the severity of the diagnostic about
    any other field that is unknown; and ``violations()``, which checks the rules about several fields at once.
    """

    cls: type
    slots_by_name: Mapping[str, _Slot]
    known: frozenset[str]
    required: tuple[str, ...]
    silent: frozenset[str]
    renamed: Mapping[str, str]
    unknown: Severity | None
    check: Callable[[Any], Iterable[Violation]] | None

    def __call__(self, value: Any, path: Path, report: Report, **given: Any) -> Any:
        """Decode a mapping; it cannot set the attributes in `given`."""
        if not isinstance(value, dict):
            return report.wrong_type("a mapping", value, path)
        before = report.errors
        self._fill(given, value, path, report)
        for key in self.required:
            if value.get(key) is None:
                violation = Violation("is required.", f"Add {key}.", reasons.FIELD_VALUE_REQUIRED)
                report.add(violation, (*path, key))
        if report.errors != before:
            return INVALID
        built = self.cls(**given)
        if self.check:
            for violation in self.check(built):
                report.add(violation, path)
        return built if report.errors == before else INVALID

    def _fill(self, attributes: dict[str, Any], value: dict[str, Any], path: Path, report: Report) -> None:
        slots = self.slots_by_name
        for key, item in value.items():
            slot = slots.get(key)
            if slot is None:
                if key not in self.silent:
                    self._unknown(key, path, report)
            # Null is absence, as it is for Kubernetes.
            elif item is not None and (decoded := slot(item, (*path, key), report)) is not INVALID:
                attributes[slot.attribute] = decoded

    def _unknown(self, key: str, path: Path, report: Report) -> None:
        renamed = self.renamed.get(key)
        violation = Violation(
            f"is not a field of {dotted(path) or 'the object'}.",
            renamed or "Remove it.",
            reasons.UNKNOWN_FIELD,
            severity=self.unknown or report.unknown,
            word="" if renamed else key,
            known=self.known,
        )
        report.add(violation, (*path, key), on_key=True)


_structures: dict[type, Structure] = {}


def structure(cls: type) -> Structure:
    """Return the decoder of a dataclass."""
    found = _structures.get(cls)
    if found is None:
        found = _structures[cls] = _compile(cls)
    return found


def _compile(cls: type) -> Structure:
    hints = typing.get_type_hints(cls, include_extras=True)
    slots = {schema.name: _Slot(name, schema, _decoder(hints[name])) for name, schema in fields(cls).items()}
    silent: frozenset[str] = frozenset().union(*(base.__dict__.get("SILENT", ()) for base in cls.__mro__))
    return Structure(
        cls=cls,
        slots_by_name=slots,
        known=silent.union(slots),
        required=tuple(name for name, slot in slots.items() if slot.schema.required),
        silent=silent,
        renamed=getattr(cls, "RENAMED", {}),
        unknown=getattr(cls, "UNKNOWN_FIELD", None),
        check=getattr(cls, "violations", None),
    )

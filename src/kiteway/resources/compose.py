"""Builds values and their places from YAML events, without recursion and within limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

from kiteway.resources import reasons, web_text
from kiteway.resources.limits import Limits
from kiteway.resources.places import Path, Place, Spot, quoted, spot
from kiteway.resources.scalars import resolve, resolve_tagged

Value: TypeAlias = "dict[str, Value] | list[Value] | str | int | float | bool | None"

# libyaml where PyYAML was built with it (as its wheels are), else the same events from Python, some ten times slower.
_Events: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_SEQUENCE_TAG = "tag:yaml.org,2002:seq"
_MAPPING_TAG = "tag:yaml.org,2002:map"
_MERGE = "<<"


@dataclass(frozen=True, slots=True)
class Fault:
    """
    A mistake in the text of a document.

    Attributes:
        at: where; zero for a mistake of the file as a whole.
        reason: see `kiteway.resources.reasons`.
        message: what is wrong.
        fix: what to do about it.
        path: the invalid value, from the root of the document.
    """

    at: Spot
    reason: str
    message: str
    fix: str = ""
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Document:
    """
    One YAML document.

    Attributes:
        value: its content, in JSON's types.
        place: the position of each part of it.
        faults: mistakes that make the value around them invalid; the rest of the document is valid.
    """

    value: Value
    place: Place
    faults: tuple[Fault, ...]


class UnreadableError(Exception):
    """The rest of a document cannot be read."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class FileTooLargeError(UnreadableError):
    """The rest of the file is not read."""


@dataclass(slots=True)
class Budget:
    """The unused part of a file's limits."""

    documents: int
    nodes: int
    alias_nodes: int

    @classmethod
    def of(cls, limits: Limits) -> Budget:
        """Return the whole budget of a file."""
        return cls(limits.documents, limits.nodes, limits.alias_nodes)


@dataclass(slots=True)
class _Anchored:
    """The value that an alias refers to, its size in nodes and its depth. A size of zero is a value still open."""

    value: Value
    place: Place
    size: int
    height: int


@dataclass(slots=True)
class _Frame:
    """A list or mapping whose end has not come yet."""

    value: dict[str, Value] | list[Value]
    place: Any  # the place whose second half is filled as the entries come
    anchor: str | None
    opened_at: int  # the composer's node count at the start
    key: str | None = None
    key_spot: Spot = 0
    merge: bool = False  # the value to come is a merge key's
    height: int = 0
    merged: list[tuple[dict[str, Value], dict[str, tuple[Spot, Place]]]] | None = None


class Composer:
    """Composes the documents of one part of a file."""

    def __init__(self, text: str, first_line: int, limits: Limits, budget: Budget, names: dict[str, str]) -> None:
        """
        Prepare to read.

        Args:
            text: the part; decoded, without characters that YAML forbids.
            first_line: the number of its first line in the file.
            limits: see `Limits`.
            budget: shared by all parts of the file.
            names: keys seen so far, so that equal keys share memory.
        """
        self._text = text
        self._first_line = first_line
        self._limits = limits
        self._budget = budget
        self._names = names
        self._reset()

    def documents(self) -> Iterator[Document]:
        """
        Yield the documents until the part ends.

        Raises:
            UnreadableError: what follows cannot be read.
        """
        events = _Events(self._text)
        try:
            yield from self._compose(events.get_event)
        except yaml.MarkedYAMLError as error:
            raise UnreadableError(self._syntax_fault(error)) from None
        except yaml.YAMLError:
            fault = Fault(spot(self._first_line, 1), reasons.YAML_SYNTAX, "The document is not YAML.")
            raise UnreadableError(fault) from None
        finally:
            events.dispose()

    def _spoil(self, at: Spot, reason: str, message: str, fix: str = "") -> None:
        """Note a mistake that leaves the rest of the document good."""
        steps = (len(frame.value) if isinstance(frame.value, list) else frame.key for frame in self._stack)
        self._faults.append(Fault(at, reason, message, fix, tuple(step for step in steps if step is not None)))

    def _start_document(self, event: Any) -> None:
        self._reset()
        self._budget.documents -= 1
        if self._budget.documents < 0:
            raise self._too_large(self._at(event), f"more than {self._limits.documents} documents")

    def _reset(self) -> None:
        self._stack: list[_Frame] = []
        self._anchors: dict[str, _Anchored] = {}
        self._faults: list[Fault] = []
        self._nodes = 0
        self._root: tuple[Value, Place] = (None, 0)

    def _compose(self, next_event: Any) -> Iterator[Document]:
        while True:
            event = next_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self._open(event, {} if kind is yaml.MappingStartEvent else [])
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._close()
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind is yaml.DocumentStartEvent:
                self._start_document(event)
            elif kind is yaml.DocumentEndEvent:
                yield Document(*self._root, tuple(self._faults))
            elif kind is yaml.StreamEndEvent:
                return

    def _at(self, event: Any) -> Spot:
        mark = event.start_mark
        return spot(mark.line + self._first_line, mark.column + 1)

    def _count(self, at: Spot, nodes: int = 1) -> None:
        self._nodes += nodes
        self._budget.nodes -= nodes
        if self._budget.nodes < 0:
            raise self._too_large(at, f"more than {self._limits.nodes} values")

    def _scalar(self, event: Any) -> None:
        at = self._at(event)
        text: str = event.value
        self._count(at)
        if len(text) > self._limits.scalar:
            message = f"A value has {len(text)} characters, more than the {self._limits.scalar} allowed."
            raise UnreadableError(Fault(at, reasons.DOCUMENT_TOO_LARGE, message))
        value: Value
        if event.implicit[0]:
            value = resolve(text)
        elif event.tag is None or event.tag == "!":
            value = text
        else:
            value = self._tagged(event.tag, text, at)
        stack = self._stack
        if stack and stack[-1].key is None and isinstance(stack[-1].value, dict):
            self._key(stack[-1], value, at, merge=event.implicit[0] and text == _MERGE)
            if event.anchor:
                self._anchors[event.anchor] = _Anchored(value, at, 1, 0)
            return
        if event.anchor:
            self._anchors[event.anchor] = _Anchored(value, at, 1, 0)
        self._put(value, at)

    def _tagged(self, tag: str, text: str, at: Spot) -> Value:
        try:
            return resolve_tagged(tag, text)
        except ValueError:
            # The tag is not shown: an unquoted password that begins with "!" is one, too.
            message = "A value has a tag that is no type of JSON, or is no value of the type its tag names."
            fix = 'Remove the tag; quote a value that begins with "!".'
            self._spoil(at, reasons.UNKNOWN_TAG, message, fix)
            return text

    def _open(self, event: Any, value: dict[str, Value] | list[Value]) -> None:
        at = self._at(event)
        self._count(at)
        if self._stack:
            parent = self._stack[-1]
            if parent.key is None and isinstance(parent.value, dict):
                raise UnreadableError(self._complex_key(at))
        if len(self._stack) >= self._limits.depth:
            raise UnreadableError(self._too_deep(at))
        if event.tag not in {None, "!", _SEQUENCE_TAG if isinstance(value, list) else _MAPPING_TAG}:
            message = "A list or mapping has a tag, which JSON has no type for."
            self._spoil(at, reasons.UNKNOWN_TAG, message, "Remove the tag.")
        place: Any = (at, []) if isinstance(value, list) else (at, {})
        if event.anchor:
            self._anchors[event.anchor] = _Anchored(value, place, 0, 0)
        self._stack.append(_Frame(value, place, event.anchor, self._nodes - 1))

    def _close(self) -> None:
        frame = self._stack.pop()
        if frame.merged:
            self._merge(frame)
        if frame.anchor:
            # Only if no entry in between has taken the same anchor.
            anchored = self._anchors[frame.anchor]
            if anchored.value is frame.value:
                anchored.size = self._nodes - frame.opened_at
                anchored.height = frame.height + 1
        self._put(frame.value, frame.place, frame.height + 1)

    def _alias(self, event: Any) -> None:
        at = self._at(event)
        anchored = self._anchors.get(event.anchor)
        if anchored is None:
            # The name is not shown: an unquoted password that begins with "*" is an alias, too.
            message = "An alias names no anchor that stands before it in the same document."
            fix = 'Define the anchor in this document, or quote a value that begins with "*".'
            raise UnreadableError(Fault(at, reasons.UNDEFINED_ALIAS, message, fix))
        if anchored.size == 0:
            message = "An alias stands inside the value that it names."
            raise UnreadableError(Fault(at, reasons.RECURSIVE_ALIAS, message, "Write the value out."))
        self._expand(at, anchored.size)
        if len(self._stack) + anchored.height > self._limits.depth:
            raise UnreadableError(self._too_deep(at))
        stack = self._stack
        if stack and stack[-1].key is None and isinstance(stack[-1].value, dict):
            if isinstance(anchored.value, dict | list):
                raise UnreadableError(self._complex_key(at))
            self._key(stack[-1], anchored.value, at, merge=False)
        else:
            self._put(anchored.value, anchored.place, anchored.height)

    def _expand(self, at: Spot, nodes: int) -> None:
        """Count the nodes that an alias or a merge key refers to."""
        if nodes > self._budget.alias_nodes:
            message = f"Aliases stand for more than {self._limits.alias_nodes} values."
            raise UnreadableError(Fault(at, reasons.ALIAS_EXPANSION, message, "Write the values out."))
        self._budget.alias_nodes -= nodes
        self._count(at, nodes)

    def _key(self, frame: _Frame, value: Value, at: Spot, *, merge: bool) -> None:
        if isinstance(value, str):
            key = value
        elif isinstance(value, bool):
            key = "true" if value else "false"
        elif isinstance(value, int | float):
            key = f"{value}"
        else:
            raise UnreadableError(self._complex_key(at))
        frame.key = self._names.setdefault(key, key)
        frame.key_spot = at
        frame.merge = merge

    def _put(self, value: Value, place: Place, height: int = 0) -> None:
        if not self._stack:
            self._root = (value, place)
            return
        frame = self._stack[-1]
        frame.height = max(frame.height, height)
        if isinstance(frame.value, list):
            frame.value.append(value)
            frame.place[1].append(place)
            return
        key = frame.key
        frame.key = None
        if frame.merge:
            self._collect_merge(frame, value, place)
        elif key in frame.value:
            first = frame.place[1][key][0]
            message = f"The key {quoted(str(key))} stands twice in one mapping, first at line {first >> 32}, column {first & 0xFFFFFFFF}."
            self._spoil(frame.key_spot, reasons.DUPLICATE_KEY, message, "Keep one of the two.")
        elif len(frame.value) >= self._limits.keys:
            message = f"A mapping has more than {self._limits.keys} keys."
            raise UnreadableError(Fault(frame.key_spot, reasons.DOCUMENT_TOO_LARGE, message))
        else:
            frame.value[str(key)] = value
            frame.place[1][key] = (frame.key_spot, place)

    def _collect_merge(self, frame: _Frame, value: Value, place: Any) -> None:
        values = value if isinstance(value, list) else [value]
        places = place[1] if isinstance(value, list) else [place]
        frame.merged = frame.merged or []
        for part, where in zip(values, places, strict=True):
            if isinstance(part, dict):
                frame.merged.append((part, where[1]))
            else:
                message = "A merge key (<<) takes a mapping, or a list of mappings."
                self._spoil(frame.key_spot, reasons.INVALID_MERGE, message)

    @staticmethod
    def _merge(frame: _Frame) -> None:
        """Add merged entries behind those that the mapping has itself; of two merged ones the first wins."""
        for values, places in frame.merged or ():
            for key, value in values.items():
                if isinstance(frame.value, dict) and key not in frame.value:
                    frame.value[key] = value
                    frame.place[1][key] = places[key]

    def _too_deep(self, at: Spot) -> Fault:
        message = f"Lists and mappings are nested more than {self._limits.depth} deep."
        return Fault(at, reasons.DOCUMENT_TOO_LARGE, message)

    @staticmethod
    def _too_large(at: Spot, what: str) -> FileTooLargeError:
        message = f"The file has {what}; the rest of it is not read."
        return FileTooLargeError(Fault(at, reasons.FILE_TOO_LARGE, message, "Split the file."))

    def _complex_key(self, at: Spot) -> Fault:
        message = "A key is a list, a mapping or null; JSON, and so Kubernetes, has text only."
        return Fault(at, reasons.INVALID_KEY, message, self._hint(at))

    def _syntax_fault(self, error: yaml.MarkedYAMLError) -> Fault:
        mark = error.problem_mark or error.context_mark
        at = spot(self._first_line + mark.line, mark.column + 1) if mark else spot(self._first_line, 1)
        problem = error.problem or "cannot be read"
        where = f" ({error.context})" if error.context else ""
        usual = next((fix for words, fix in _FIXES.items() if words in problem), "")
        fix = self._hint(at) or web_text.hint_above(self._before(at)) or usual
        return Fault(at, reasons.YAML_SYNTAX, f"The document is not YAML: {problem}{where}.", fix)

    def _before(self, at: Spot) -> list[str]:
        return self._text.splitlines()[: max((at >> 32) - self._first_line, 0)]

    def _hint(self, at: Spot) -> str:
        lines = self._text.splitlines()
        number = (at >> 32) - self._first_line
        line = lines[number] if 0 <= number < len(lines) else ""
        if "{{" in line:
            return "This looks like a template: render it first, for example with helm template."
        if "\t" in line[: len(line) - len(line.lstrip())]:
            return "Indent with spaces; YAML allows no tabs there."
        return web_text.hint(line)


_FIXES = {
    "mapping values are not allowed": 'Check the indentation; quote a value that holds ": ".',
    "could not find expected ':'": "Check the indentation of this line and the one above it.",
    "did not find expected key": "Check the indentation of this line and the one above it.",
    "did not find expected <document start>": "Check the indentation of this line and the one above it.",
    "found unexpected end of stream": "Close the quotes.",
    "cannot start any token": "Quote the value.",
}

"""The position of each value of a document, stored beside the values."""

from __future__ import annotations

import marshal
from dataclasses import dataclass
from typing import Any, TypeAlias

from kiteway.diagnostics import Position

# Line and column packed into one integer: there is one for every scalar of every file.
Spot: TypeAlias = int

# A scalar is its spot; a list is its spot and its items' places; a mapping is its spot and, for each key, the spot
# of the key and the place of the value.
Place: TypeAlias = "Spot | tuple[Spot, list[Place]] | tuple[Spot, dict[str, tuple[Spot, Place]]]"

Path: TypeAlias = tuple[str | int, ...]


def spot(line: int, column: int) -> Spot:
    """Pack a line and a column, both counted from 1."""
    return line << 32 | column


def start(place: Place) -> Spot:
    """Return where a value begins."""
    return place if isinstance(place, int) else place[0]


def position(file: str, at: Spot) -> Position:
    """Unpack a spot."""
    return Position(file, at >> 32, at & 0xFFFFFFFF)


# The same with small parts as bytes.
Packed: TypeAlias = "Place | bytes | tuple[Spot, list[Packed]] | tuple[Spot, dict[str, tuple[Spot, Packed]]]"

_SMALL = 64
"""Values in a part that is packed: a position takes unpacking one part."""


@dataclass(frozen=True, slots=True)
class Source:
    """
    The place of one object in a file.

    Attributes:
        file: its name.
        place: the position of each part of the object.
    """

    file: str
    place: Packed

    def packed(self) -> Source:
        """Return the same source with some 50 bytes for each value instead of 300, because it is cached and seldom read."""
        size, place = _packed(self.place)
        return Source(self.file, _dumped(size, place))

    def at(self, *path: str | int) -> Position:
        """Return the position of a field's value, or of its nearest parent that was written."""
        return self._find(path, key=False)

    def at_key(self, *path: str | int) -> Position:
        """Return the position of a field's key, or of its nearest parent that was written."""
        return self._find(path, key=True)

    def _find(self, path: Path, *, key: bool) -> Position:
        place = _loaded(self.place)
        found = start(place)
        for step in path:
            children = None if isinstance(place, int) else place[1]
            if isinstance(children, dict) and step in children:
                key_spot, child = children[str(step)]
                place = _loaded(child)
                found = key_spot if key else start(place)
            elif isinstance(children, list) and isinstance(step, int) and 0 <= step < len(children):
                place = _loaded(children[step])
                found = start(place)
            else:
                break
        return position(self.file, found)


def _packed(place: Any) -> tuple[int, Any]:
    """Return how many values there are in a place, and the place with its small parts packed, unless it is one itself."""
    if isinstance(place, int):
        return 1, place
    spot_, children = place
    if isinstance(children, dict):
        parts = {key: (at, _packed(child)) for key, (at, child) in children.items()}
        size = 1 + sum(size for _, (size, _) in parts.values())
        if size > _SMALL:
            return size, (spot_, {key: (at, _dumped(*part)) for key, (at, part) in parts.items()})
    else:
        items = [_packed(child) for child in children]
        size = 1 + sum(size for size, _ in items)
        if size > _SMALL:
            return size, (spot_, [_dumped(*part) for part in items])
    return size, place


def _dumped(size: int, place: Any) -> Any:
    return place if size > _SMALL or isinstance(place, int) else marshal.dumps(place)


def _loaded(place: Any) -> Any:
    return marshal.loads(place) if isinstance(place, bytes) else place  # noqa: S302 - it was dumped here


# No field of Kubernetes has a longer name; a longer key is a user's text.
_LONGEST_NAME = 64


def dotted(path: Path) -> str:
    """Write a path as users know it: ``spec.rules[0].host``, ``metadata.annotations["cloud.google.com/neg"]``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif len(step) <= _LONGEST_NAME and step.replace("-", "").replace("_", "").isalnum():
            text += f".{step}" if text else step
        else:
            text += f"[{quoted(step)}]"
    return text


def quoted(text: str, longest: int = 80) -> str:
    """Quote a user's text for a message: one line, no control characters, cut when long."""
    shown = text if len(text) <= longest else text[: longest - 1] + "…"
    return '"' + "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in shown) + '"'

"""The position of each value of a document, stored beside the values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

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


@dataclass(frozen=True, slots=True)
class Source:
    """Where one object was written."""

    file: str
    place: Place

    def at(self, *path: str | int) -> Position:
        """Return the position of a field's value, or of its nearest parent that was written."""
        return self._find(path, key=False)

    def at_key(self, *path: str | int) -> Position:
        """Return the position of a field's key, or of its nearest parent that was written."""
        return self._find(path, key=True)

    def _find(self, path: Path, *, key: bool) -> Position:
        place = self.place
        found = start(place)
        for step in path:
            children = None if isinstance(place, int) else place[1]
            if isinstance(children, dict) and step in children:
                key_spot, place = children[str(step)]
                found = key_spot if key else start(place)
            elif isinstance(children, list) and isinstance(step, int) and 0 <= step < len(children):
                place = children[step]
                found = start(place)
            else:
                break
        return position(self.file, found)


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

"""The objects in a list: ``kind: List``, and typed lists such as IngressList."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kiteway.resources.places import Path, Source


@dataclass(frozen=True, slots=True)
class Entry:
    """
    An object in a document.

    Attributes:
        value: what was written; not necessarily an object.
        source: where it was written.
        spoilt: the fields whose values could not be read.
    """

    value: Any
    source: Source | None
    spoilt: tuple[Path, ...] = ()


def flattened(root: Entry) -> Iterator[Entry]:
    """Yield the objects of a document in order, those of lists and of lists in lists included."""
    waiting = [root]
    while waiting:
        entry = waiting.pop()
        items = _items(entry.value)
        if items is None:
            yield entry
        else:
            spoilt = _spoilt_by_item(entry.spoilt)
            indices = reversed(range(len(items)))
            waiting.extend(_item(entry, items[index], index, tuple(spoilt.get(index, ()))) for index in indices)


def _items(value: Any) -> list[Any] | None:
    if not isinstance(value, dict):
        return None
    kind, items = value.get("kind"), value.get("items")
    return items if isinstance(kind, str) and kind.endswith("List") and isinstance(items, list) else None


def _spoilt_by_item(spoilt: tuple[Path, ...]) -> dict[int, list[Path]]:
    found: dict[int, list[Path]] = {}
    for path in spoilt:
        match path:
            case ("items", int(index), *rest):
                found.setdefault(index, []).append(tuple(rest))
    return found


def _item(entry: Entry, value: Any, index: int, spoilt: tuple[Path, ...]) -> Entry:
    kind = entry.value["kind"].removesuffix("List")
    if kind and isinstance(value, dict):
        # The API leaves these out of the items of a typed list.
        value = {"apiVersion": entry.value.get("apiVersion"), "kind": kind, **value}
    source = None
    if entry.source:
        place = entry.source.place
        for step in ("items", index):
            place = _child(place, step)
        source = Source(entry.source.file, place)
    return Entry(value, source, spoilt)


def _child(place: Any, step: str | int) -> Any:
    found = place[1][step]
    return found if isinstance(step, int) else found[1]

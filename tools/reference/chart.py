"""The README of the chart: every value, its default and its meaning, from the comments in values.yaml."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

VALUES = Path(__file__).resolve().parents[2] / "deploy/chart/values.yaml"

_HEAD = """\
# The chart of Kiteway

[Kiteway on Kubernetes](../../docs/how-to/kubernetes.md) says how to install, upgrade and use it; values are checked against
`values.schema.json`, so a misspelt name is an error.

```bash
helm install kiteway deploy/chart --namespace kiteway --create-namespace --set image.repository=REGISTRY/kiteway
```

`make reference` writes this page from `values.yaml`.
"""
_LINE = re.compile(r"(?P<indent> *)(?:# ?(?P<comment>.*)|(?P<name>\w+):(?P<inline>.*))?$")
_STEP = 2


class UndescribedValueError(Exception):
    """A value in values.yaml has no comment above it."""


@dataclass(frozen=True)
class Value:
    """A name in values.yaml; a section has further names below it and no default of its own."""

    path: tuple[str, ...]
    text: str
    default: Any
    section: bool


def render() -> str:
    """Return the page: a table of the values on top, then one for each section."""
    values = list(read(VALUES.read_text()))
    parts = [_HEAD, "\n", *_table(value for value in values if len(value.path) == 1 and not value.section)]
    for section in values:
        if len(section.path) == 1 and section.section:
            said = f"{section.text}\n\n" if section.text else ""
            below = (value for value in values if value.path[0] == section.path[0] and not value.section)
            parts += [f"\n## {section.path[0]}\n\n{said}", *_table(below)]
    return "".join(parts)


def _table(values: Iterable[Value]) -> Iterator[str]:
    yield "| value | default | meaning |\n|---|---|---|\n"
    for value in values:
        meaning = value.text.replace("|", "\\|")
        yield f"| `{'.'.join(value.path)}` | `{json.dumps(value.default)}` | {meaning} |\n"


def read(text: str) -> Iterator[Value]:
    """
    Return the names of the text in their order, each with the comment above it; the first of a group has the group's, too.

    Raises:
        UndescribedValueError: a value has no comment.
    """
    loaded = yaml.safe_load(text)
    comment: list[str] = []
    path: list[str] = []
    of_section: dict[tuple[str, ...], str] = {}
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue  # an item of a list
        if found["comment"] is not None:
            comment.append(found["comment"])
        elif found["name"] is None:
            comment = []
        else:
            path = [*path[: len(found["indent"]) // _STEP], found["name"]]
            default = _at(loaded, path)
            section = isinstance(default, dict) and not found["inline"].strip()
            said = " ".join(comment)
            comment = []
            if section:
                of_section[tuple(path)] = said
            elif not said:
                raise UndescribedValueError(".".join(path))
            elif len(path) > _STEP and (group := of_section.pop(tuple(path[:-1]), "")):
                said = f"{group} {said}"
            yield Value(tuple(path), said, default, section)


def _at(loaded: Any, path: list[str]) -> Any:
    for name in path:
        loaded = loaded[name]
    return loaded

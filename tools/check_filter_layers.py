"""
Check which modules of the filter use which others.

The crate ``filter/core`` is built in layers: for each of its modules, `LAYERS` has the modules that it may use. No two
files may use each other, directly or through other files. The command exits with 1 and names each forbidden line.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent / "filter/core/src"

LAYERS: Mapping[str, frozenset[str]] = {
    "admission": frozenset({"alarm", "host"}),
    "alarm": frozenset(),
    "cache": frozenset({"alarm", "host", "milvus", "wire"}),
    "hedge": frozenset({"host"}),
    "host": frozenset(),
    "wire": frozenset(),
    "calls": frozenset({"wire"}),
    "config": frozenset({"wire"}),
    "mark": frozenset({"host"}),
    "milvus": frozenset({"wire"}),
    "metrics": frozenset({"host", "milvus"}),
    "noting": frozenset({"host", "wire"}),
    "reading": frozenset({"calls", "host", "milvus", "wire"}),
    "listener": frozenset(
        {"admission", "cache", "calls", "config", "hedge", "host", "metrics", "milvus", "noting", "reading", "wire"}
    ),
    "endpoint": frozenset({"calls", "hedge", "host", "mark", "metrics", "milvus", "noting", "reading", "wire"}),
    "filter": frozenset(
        {"cache", "calls", "config", "endpoint", "host", "listener", "mark", "metrics", "milvus", "noting"}
    ),
}
"""The module and those that it may use. ``lib.rs`` may use all."""

_COMMENT = re.compile(r"//.*")
_USE = re.compile(r"\buse\s+(crate::[^;]*);|\b(crate(?:::\w+)+)")
_RENAMED = re.compile(r"\s+as\s+\w+")
_RELATIVE = re.compile(r"(?<!super::)\bsuper::(?!\*;)")


def problems(sources: Path) -> list[str]:
    """Return a sentence for each forbidden use in the crate's ``sources``, and for the first circle of files."""
    files = {_module(path, sources): path for path in sorted(sources.rglob("*.rs"))}
    found = []
    graph: dict[str, set[str]] = {module: set() for module in files}
    for module, path in files.items():
        layer = module.partition("::")[0]
        if layer not in LAYERS and layer != "lib":
            found.append(f"{path}: the module {layer} is not in LAYERS of tools/check_filter_layers.py")
            continue
        for number, used in _uses(path.read_text()):
            where = f"{path}:{number}"
            if used == "super":
                found.append(f"{where}: write the path from `crate::` instead of `super::`")
                continue
            other = used.partition("::")[0]
            if layer != "lib" and other in LAYERS and other not in LAYERS[layer] | {layer}:
                allowed = ", ".join(sorted(LAYERS[layer])) or "no other module"
                found.append(f"{where}: {layer} uses {other}, but may use {allowed}")
            target = next((prefix for prefix in _prefixes(used) if prefix in files), None)
            if target is not None and target != module:
                graph[module].add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append("files that use each other: " + " -> ".join(reversed(error.args[1])))
    return found


def _module(path: Path, sources: Path) -> str:
    return "::".join(path.relative_to(sources).with_suffix("").parts)


def _prefixes(path: str) -> Iterator[str]:
    parts = path.split("::")
    return ("::".join(parts[:length]) for length in range(len(parts), 0, -1))


def _uses(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the path, without ``crate::``, of each use of another module; ``super`` for a relative one."""
    code = _COMMENT.sub("", text)
    for match in _USE.finditer(code):
        line = code.count("\n", 0, match.start()) + 1
        for path in _expanded("".join(_RENAMED.sub("", match[1] or match[2]).split())):
            yield line, path.removeprefix("crate::")
    for match in _RELATIVE.finditer(code):
        yield code.count("\n", 0, match.start()) + 1, "super"


def _expanded(tree: str) -> Iterator[str]:
    """Yield the paths of a use tree without white space, such as ``crate::a::{b,c::{self,D}}``."""
    prefix, brace, rest = tree.partition("{")
    if not brace:
        yield tree
        return
    depth, start = 0, 0
    inside = rest[: rest.rindex("}")]
    for at, character in enumerate(inside + ","):
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 0:
            if part := inside[start:at]:
                yield from (prefix.removesuffix("::") if each == "self" else prefix + each for each in _expanded(part))
            start = at + 1


def main() -> int:
    """Print what is forbidden."""
    found = problems(SOURCES)
    for each in found:
        print(each, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

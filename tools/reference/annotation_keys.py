"""docs/reference/annotations.md: the constants of `kiteway.resources.annotations` and their docstrings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kiteway.resources import annotations as keys
from tools.reference.markdown import GENERATED, code, plain, table
from tools.reference.reasons import linked
from tools.reference.source import Module

_INTRODUCTION = """
# Annotations

The annotations that Kiteway reads or writes. Their values are text: quote JSON, `true` and numbers in YAML. GKE's annotations
have GKE's meaning; those of `kiteway.io` are Kiteway's own.
"""


def render() -> str:
    """Return the page."""
    parts = [GENERATED, _INTRODUCTION]
    section = ""
    for where, key, meaning in _annotations():
        if where != section:
            parts.append(f"\n## On {'an' if where[0] in 'AEIOU' else 'a'} {where}\n\n")
            parts.append(table(("Annotation", "Meaning"), ()))
            section = where
        parts.append(f"| {code(key)} | {plain(meaning)} |\n")
    return "".join(parts)


def _annotations() -> Iterator[tuple[str, str, str]]:
    """Yield the kind, the key and the meaning of each."""
    module = Module(Path(keys.__file__))
    for name, constant in module.constants.items():
        if name.startswith("_"):
            continue
        if "/" in constant.value:
            where = "Service" if constant.value in keys.ON_SERVICE else "Ingress"
            yield where, constant.value + ("*" if constant.value.endswith("/") else ""), linked(module, constant.doc)
        elif not constant.value[0].isupper():
            raise ValueError(f"{name} is neither an annotation nor a reason")

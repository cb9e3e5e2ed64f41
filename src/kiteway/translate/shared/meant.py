"""
Which object a wrong name means, in a set of files or in what was read of a cluster for a diagnosis.

An instance does not say it: an answer would depend on objects that the translation did not look at, and would show a
tenant the names of others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from kiteway.diagnostics import Diagnostic, ObjectRef
from kiteway.resources import Object
from kiteway.resources.rules import closest


def with_meant(
    diagnostics: Iterable[Diagnostic], objects: Sequence[Object], where: str = "The files have"
) -> list[Diagnostic]:
    """
    Return the diagnostics; the fix of one about a missing object names the object that was most likely meant.

    Args:
        diagnostics: those of the translation of ``objects``, or of a part of them.
        objects: where the object that was meant is looked for.
        where: the beginning of the sentence that says where it is.
    """
    there = [each.ref for each in objects]
    return [
        dataclasses.replace(each, fix=fix)
        if each.missing is not None and (fix := _meant(each.missing, there, where))
        else each
        for each in diagnostics
    ]


def _meant(missing: ObjectRef, there: Sequence[ObjectRef], where: str) -> str:
    beside = [ref.name for ref in there if (ref.kind, ref.namespace) == (missing.kind, missing.namespace)]
    if near := closest(missing.name, beside) or _longer(missing.name, beside):
        return f"Did you mean {near}? {where} a {missing.kind} of this name."
    elsewhere = sorted(ref.namespace for ref in there if (ref.kind, ref.name) == (missing.kind, missing.name))
    if elsewhere:
        return (
            f"The {missing.kind} is in the namespace {elsewhere[0]}, and only objects of the same namespace can be used: "
            f"create it in {missing.namespace}."
        )
    return ""


def _longer(name: str, beside: Iterable[str]) -> str:
    """Return the only name that ``name`` is the end of, as ``milvus`` is of ``my-release-milvus``, or the reverse."""
    found = {other for other in beside if other.endswith(f"-{name}") or name.endswith(f"-{other}")}
    return found.pop() if len(found) == 1 else ""

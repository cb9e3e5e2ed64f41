"""
Which object a wrong name means, in a set of files.

In a cluster this is not said: an answer would depend on objects that the translation did not look at, and would show a
tenant the names of others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from kiteway.diagnostics import Diagnostic, ObjectRef
from kiteway.resources import Object
from kiteway.resources.rules import closest


def with_meant(diagnostics: Iterable[Diagnostic], objects: Sequence[Object]) -> list[Diagnostic]:
    """Return the diagnostics; the fix of one about a missing object names the object that was most likely meant."""
    there = [each.ref for each in objects]
    return [
        dataclasses.replace(each, fix=fix)
        if each.missing is not None and (fix := _meant(each.missing, there))
        else each
        for each in diagnostics
    ]


def _meant(missing: ObjectRef, there: Sequence[ObjectRef]) -> str:
    beside = [ref.name for ref in there if (ref.kind, ref.namespace) == (missing.kind, missing.namespace)]
    if near := closest(missing.name, beside):
        return f"Did you mean {near}? The files have a {missing.kind} of this name."
    elsewhere = sorted(ref.namespace for ref in there if (ref.kind, ref.name) == (missing.kind, missing.name))
    if elsewhere:
        return (
            f"The {missing.kind} is in the namespace {elsewhere[0]}, and only objects of the same namespace can be used: "
            f"create it in {missing.namespace}."
        )
    return ""
